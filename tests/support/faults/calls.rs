//! The system calls that ostler makes once it runs, and the errors that are given to each.

/// Its name.
pub type Errno = &'static str;

#[derive(Debug)]
pub struct Call {
    /// Separated by commas: it has another name on other machines, or in another C library.
    pub names: &'static str,
    pub errnos: &'static [Errno],
    /// Why it is not tried without end.
    pub unbearable: Option<&'static str>,
}

impl Call {
    const fn new(names: &'static str, errnos: &'static [Errno]) -> Self {
        Self { names, errnos, unbearable: None }
    }

    const fn not_for_ever(self, why: &'static str) -> Self {
        Self { unbearable: Some(why), ..self }
    }

    pub fn is(&self, name: &str) -> bool {
        self.names.split(',').any(|own| own == name)
    }
}

pub static CALLS: [Call; 33] = [
    Call::new("poll,ppoll", &["ENOMEM", "EINTR", "EAGAIN"]),
    Call::new("waitid", &["EINTR", "EAGAIN", "ENOMEM", "EPERM"]).not_for_ever("nobody can be reaped"),
    Call::new("kill", &["EPERM", "EINTR", "ENOMEM"]).not_for_ever("nobody can be told to stop"),
    Call::new("clone,clone3,fork", &["EAGAIN", "ENOMEM", "EPERM"]),
    Call::new("setpgid", &["EPERM", "EACCES"]),
    Call::new("getpgid", &["EPERM", "ENOMEM"]),
    Call::new("pipe2", &["EMFILE", "ENFILE", "ENOMEM"]),
    Call::new("pidfd_open", &["EMFILE", "ENOMEM", "EPERM"]),
    Call::new("ioctl", &["EPERM", "EIO", "EINTR", "ENOMEM"]),
    Call::new("fcntl", &["EMFILE", "EINTR", "EAGAIN", "EPERM"]),
    Call::new("read", &["EIO", "EINTR", "EAGAIN", "ENOMEM"]).not_for_ever("no signal can be read"),
    Call::new("write", &["EAGAIN", "EINTR", "EIO", "ENOSPC", "EPIPE"]),
    Call::new("openat,open", &["EMFILE", "ENFILE", "ENOMEM", "EINTR", "EPERM"]),
    Call::new("getdents64", &["ENOMEM", "EINTR", "EIO", "EPERM"]),
    Call::new("readlink,readlinkat", &["ENOMEM", "EIO", "EPERM"]),
    Call::new("newfstatat,fstat,fstatat64", &["ENOMEM", "EPERM"]),
    Call::new("statx,stat,lstat", &["ENOMEM", "EPERM"]),
    Call::new("linkat,link", &["ENOSPC", "EIO", "EPERM"]),
    Call::new("rename,renameat,renameat2", &["ENOSPC", "EIO", "EPERM"]),
    Call::new("unlink,unlinkat", &["EIO", "EPERM", "EBUSY"]),
    Call::new("socket", &["EMFILE", "ENFILE", "ENOMEM", "EPERM"]),
    Call::new("bind", &["EADDRINUSE", "ENOMEM", "EPERM"]),
    Call::new("listen", &["EADDRINUSE", "EPERM"]),
    Call::new("getsockname", &["ENOBUFS", "EPERM"]),
    Call::new("getpeername", &["ENOTCONN", "ENOBUFS"]),
    Call::new("setsockopt", &["ENOMEM", "EPERM"]),
    Call::new("getsockopt", &["ENOBUFS", "EPERM"]),
    Call::new("connect", &["ECONNREFUSED", "EINTR", "EAGAIN", "EADDRNOTAVAIL", "EPERM"]),
    Call::new("accept4,accept", &["EMFILE", "EINTR", "ECONNABORTED", "EPERM"]),
    Call::new("sendto", &["EAGAIN", "EINTR", "ENOBUFS", "ECONNREFUSED", "EPERM"]),
    Call::new("recvfrom", &["ENOMEM", "EINTR", "EPERM"]),
    Call::new("recvmsg", &["ENOMEM", "EINTR", "EPERM"]),
    Call::new("recvmmsg", &["ENOMEM", "EINTR", "EPERM"]),
];

/// What cannot fail, or cannot be shown to from outside, and why.
pub const LEFT_ALONE: [(&str, &str); 16] = [
    ("exit_group", "does not return"),
    ("exit", "does not return"),
    ("rt_sigreturn", "returns to what a signal has interrupted"),
    ("restart_syscall", "is the kernel's own way back into poll"),
    ("rt_sigprocmask", "fails for wrong arguments only"),
    ("rt_sigaction", "fails for wrong arguments only"),
    ("getpid", "never fails"),
    ("clock_gettime", "never fails for the clocks that there are"),
    ("sigaltstack", "is Rust's own farewell"),
    ("umask", "never fails"),
    ("close", "closes even where it fails, and would not where strace lets it fail"),
    ("munmap", "gives back only"),
    ("madvise", "gives back only"),
    ("mmap", "is the allocator's: Rust ends a program without memory"),
    ("mremap", "is the allocator's: Rust ends a program without memory"),
    ("brk", "is the allocator's: Rust ends a program without memory"),
];
