//! What is made of which facts: a healthy container, and one thing at a time that is not as it should be.

use super::*;
use crate::doctor::{
    Capabilities, Core, Cores, Cpu, Disk, Files, Filter, Holder, Init, Life, Memory, Namespace, Pattern,
    Pids, Reach, Room, Seccomp, Socket, Subreaper, Usage, Version, worst,
};

fn process(pid: i32, parent: i32, name: &str) -> Process {
    Process {
        pid,
        parent,
        name: name.into(),
        kind: if name == "ostler" { Kind::Ostler } else { Kind::Other },
        life: Life::Running,
        core: Ok((0, 0)),
        files: Ok(Files { open: 10, limit: 1024 }),
        folder: Ok("/app".into()),
    }
}

fn room(used: u64) -> Room {
    Room { total: 110, used, available: 100 - used }
}

pub(in crate::doctor) fn healthy() -> Facts {
    let mut shell = process(30, 0, "ostler");
    shell.kind = Kind::Own;
    shell.core = Ok((u64::MAX, u64::MAX));
    let mut init = process(1, 0, "ostler");
    init.core = Ok((u64::MAX, u64::MAX));
    Facts {
        folder: "/app".into(),
        namespace: Ok(Namespace::Other),
        subreaper: Ok(Subreaper::No),
        processes: Ok(vec![init, process(7, 1, "gunicorn"), process(8, 7, "gunicorn"), shell]),
        init: Ok(Init {
            no_new_privs: Some(1),
            seccomp: Some(Seccomp::Filter),
            capabilities: Some(Capabilities {
                effective: vec!["kill".into()],
                bounding: vec!["kill".into()],
                known: (0..41).map(|number| format!("c{number}")).collect(),
            }),
        }),
        pattern: Ok((Pattern::File, "core".into())),
        filter: Ok(Filter(0x33)),
        memory: Ok(Memory {
            version: Version::V2,
            limit: Some(1 << 30),
            used: Ok(1 << 30),
            droppable: 1 << 29,
            kills: Ok(0),
        }),
        pids: Ok(Pids { version: Version::V2, limit: Some(100), used: Ok(79) }),
        cpu: Ok(Cpu { version: Version::V2, quota: Some((150_000, 100_000)), periods: Some((100, 9)) }),
        disks: vec![Disk {
            paths: vec!["/app".into(), "/".into()],
            usage: Ok(Usage { bytes: room(79), inodes: Some(room(0)) }),
        }],
        sockets: Ok(vec![Socket {
            address: "0.0.0.0:8000".into(),
            queue: 0,
            limit: Some(128),
            holders: vec![Holder { pid: 1, name: "ostler".into() }],
        }]),
        cores: Ok(Cores { entries: 500, ..Cores::default() }),
    }
}

fn processes(facts: &mut Facts) -> &mut Vec<Process> {
    facts.processes.as_mut().unwrap()
}

#[test]
fn nothing_needs_attention_where_all_is_well() {
    let findings = findings(&healthy());
    for finding in &findings {
        assert_eq!(finding.state, State::Ok, "{finding:?}");
        assert!(finding.hints.is_empty(), "{finding:?}");
    }
    assert_eq!(worst(&findings), State::Ok);
}

/// What is changed in a healthy container, the finding that tells of it, its state, and what it says.
type Case = (fn(&mut Facts), &'static str, State, &'static str);

const CASES: &[Case] = &[
    (|f| processes(f)[0].kind = Kind::Own, "pid-1", State::Note, "is this very process"),
    (|f| processes(f)[0].kind = Kind::Other, "pid-1", State::Note, "no ostler is seen"),
    (|f| processes(f)[1].kind = Kind::Ostler, "pid-1", State::Ok, "is ostler, in a container"),
    (|f| drop(processes(f).remove(0)), "pid-1", State::Unknown, "/proc hides it"),
    (
        |f| processes(f)[0].kind = Kind::Other,
        "orphans",
        State::Note,
        "which other process is one, no one can see",
    ),
    (
        |f| {
            processes(f)[0].kind = Kind::Other;
            processes(f)[1].kind = Kind::Ostler;
        },
        "orphans",
        State::Ok,
        "below ostler (7)",
    ),
    (|f| f.init.as_mut().unwrap().seccomp = Some(Seccomp::Off), "privileges", State::Note, "seccomp off"),
    (
        |f| f.init.as_mut().unwrap().capabilities.as_mut().unwrap().known = vec!["kill".into()],
        "capabilities",
        State::Note,
        "PID 1 has all 1",
    ),
    (|f| f.init.as_mut().unwrap().capabilities = None, "capabilities", State::Unknown, "cannot be seen"),
    (
        |f| processes(f)[2].core = Ok((4096, 4096)),
        "core-limit",
        State::Attention,
        "below ostler may leave a core: gunicorn (8)",
    ),
    (|f| processes(f)[2].core = Ok((4095, u64::MAX)), "core-limit", State::Ok, "none of 2 processes"),
    (|f| f.pattern = Ok((Pattern::Pipe, "|/x".into())), "core-limit", State::Attention, "gunicorn (7, 8)"),
    (
        |f| {
            f.pattern = Ok((Pattern::Pipe, "|/x".into()));
            for process in processes(f) {
                process.core = Ok((1, 1));
            }
        },
        "core-limit",
        State::Ok,
        "none of 2",
    ),
    (
        |f| {
            let mut beside = process(40, 0, "sh");
            beside.core = Ok((u64::MAX, u64::MAX));
            processes(f).push(beside);
        },
        "core-limit",
        State::Note,
        "beside it may sh (40)",
    ),
    (
        |f| {
            processes(f)[0].kind = Kind::Other;
            processes(f)[0].name = "bash".into();
        },
        "core-limit",
        State::Attention,
        "may leave a core: bash (1)",
    ),
    (
        |f| {
            for process in processes(f) {
                process.core = Err("no".into());
            }
        },
        "core-limit",
        State::Unknown,
        "cannot be seen",
    ),
    (
        |f| f.pattern = Ok((Pattern::Pipe, "|/x".into())),
        "core-pattern",
        State::Note,
        "a limit of 0 does not stop that",
    ),
    (|f| f.pattern = Ok((Pattern::Socket, "@/x".into())), "core-pattern", State::Note, "no limit stops that"),
    (
        |f| f.pattern = Ok((Pattern::File, "/cores/%p".into())),
        "core-pattern",
        State::Ok,
        "\"/cores/%p\": a file of that name",
    ),
    (|f| f.filter = Ok(Filter(0)), "core-content", State::Ok, "would hold nothing"),
    (
        |f| processes(f)[1].files = Ok(Files { open: 820, limit: 1024 }),
        "open-files",
        State::Attention,
        "gunicorn (7) is nearest to its limit: 820 of 1024, 81 %",
    ),
    (
        |f| f.memory.as_mut().unwrap().droppable = 0,
        "memory",
        State::Attention,
        "1.0 GiB used of 1.0 GiB, 100 %",
    ),
    (|f| f.memory.as_mut().unwrap().kills = Ok(2), "memory", State::Attention, "has killed 2 processes"),
    (|f| f.memory.as_mut().unwrap().limit = None, "memory", State::Note, "no limit; 512.0 MiB used"),
    (
        |f| f.memory.as_mut().unwrap().used = Err("x".into()),
        "memory",
        State::Unknown,
        "limit 1.0 GiB; use cannot be seen: x",
    ),
    (|f| f.pids.as_mut().unwrap().used = Ok(80), "pids", State::Attention, "of 100, 80 %"),
    (|f| f.pids.as_mut().unwrap().limit = None, "pids", State::Ok, "no limit"),
    (
        |f| f.cpu.as_mut().unwrap().periods = Some((100, 10)),
        "cpu",
        State::Note,
        "quota of 1.50 processors; used up in 10 of 100",
    ),
    (
        |f| f.disks[0].usage = Ok(Usage { bytes: room(80), inodes: None }),
        "disk",
        State::Attention,
        "/app, /: 80 % full: 80 B used, 20 B left to use; inodes without limit",
    ),
    (
        |f| f.disks[0].usage = Ok(Usage { bytes: room(1), inodes: Some(room(80)) }),
        "disk",
        State::Attention,
        "inodes 80 %",
    ),
    (|f| processes(f)[2].life = Life::Stopped, "processes", State::Attention, "of 4 processes 1 is stopped"),
    (|f| processes(f)[2].life = Life::Zombie, "processes", State::Attention, "1 is a zombie"),
    (|f| processes(f)[2].life = Life::Uninterruptible, "processes", State::Note, "1 waits uninterruptibly"),
    (|f| f.sockets.as_mut().unwrap()[0].queue = 1, "listening", State::Note, "1 connection waits"),
    (|f| f.sockets.as_mut().unwrap()[0].queue = 103, "listening", State::Attention, "103 connections wait"),
    (|f| f.sockets = Ok(Vec::new()), "listening", State::Ok, "no TCP socket listens"),
    (|f| f.cores.as_mut().unwrap().count = 1, "core-files", State::Attention, "1 core file below /app"),
    (|f| f.cores.as_mut().unwrap().unreadable = 1, "core-files", State::Note, "none seen below /app"),
    (
        |f| f.cores.as_mut().unwrap().reach = Reach::Depth(9),
        "core-files",
        State::Note,
        "none seen below /app",
    ),
];

#[test]
fn what_is_not_as_it_should_be_is_told() {
    for (number, (change, name, state, words)) in CASES.iter().enumerate() {
        let mut facts = healthy();
        change(&mut facts);
        let findings = findings(&facts);
        let finding = findings.iter().find(|finding| finding.name == *name).unwrap();
        assert_eq!(finding.state, *state, "case {number}: {finding:?}");
        assert!(finding.message.contains(words), "case {number}: {finding:?}");
        assert_eq!(
            worst(&findings) == State::Attention,
            *state == State::Attention || worst_is_elsewhere(&findings, name)
        );
        for finding in &findings {
            assert!(finding.state != State::Attention || !finding.hints.is_empty(), "no hint: {finding:?}");
        }
    }
}

fn worst_is_elsewhere(findings: &[Finding], name: &str) -> bool {
    findings.iter().any(|finding| finding.name != name && finding.state == State::Attention)
}

#[test]
fn a_zombie_is_told_with_its_parent() {
    let mut facts = healthy();
    processes(&mut facts)[2].life = Life::Zombie;
    let finding = alive::processes(&facts);
    assert_eq!(finding.lines, ["zombie: gunicorn (8), a child of gunicorn (7)"]);
    let (_, zombies) = finding.fields.iter().find(|(name, _)| *name == "zombies").unwrap();
    assert_eq!((&zombies[0]["parent_pid"], &zombies[0]["parent_program"]), (&7.into(), &"gunicorn".into()));
}

#[test]
fn core_files_are_listed_with_who_left_them() {
    let core = |path: &str, program| Core {
        path: path.into(),
        length: 173_015_040,
        allocated: 86_507_520,
        time: "2026-11-21T12:38:27Z".into(),
        program,
    };
    let mut facts = healthy();
    let dumped = (1058, "gunicorn".into(), Text::of(b"gunicorn: \x1b[2J"));
    facts.cores = Ok(Cores {
        largest: vec![core("/app/core.1058", Some(dumped)), core("/app/my core", None)],
        count: 12,
        length: 3 << 30,
        allocated: 2 << 30,
        ..Cores::default()
    });
    let finding = disk::core_files(&facts);
    assert_eq!(finding.message, "12 core files below /app: 2.0 GiB on the disk, 3.0 GiB long");
    assert_eq!(
        finding.lines,
        [
            r"/app/core.1058  82.5 MiB (165.0 MiB long)  2026-11-21T12:38:27Z  gunicorn (1058): gunicorn: \u{1b}[2J",
            "/app/my core  82.5 MiB (165.0 MiB long)  2026-11-21T12:38:27Z  does not tell who left it",
            "and 10 more, which take no more than these",
        ]
    );
    assert!(finding.hints[0].contains("OSTLER_ULIMIT_CORE is 0 by default"), "{:?}", finding.hints);
    assert!(finding.hints[1].ends_with("rm -- /app/core.1058 '/app/my core'"), "{:?}", finding.hints);
}

#[test]
fn where_nothing_can_be_seen_every_finding_says_so_and_none_fails() {
    let no = || Text::from("/proc: not here");
    let facts = Facts {
        folder: "/".into(),
        namespace: Err(no()),
        subreaper: Err(no()),
        processes: Err(no()),
        init: Err(no()),
        pattern: Err(no()),
        filter: Err(no()),
        memory: Err(no()),
        pids: Err(no()),
        cpu: Err(no()),
        disks: vec![Disk { paths: vec!["/".into()], usage: Err(no()) }],
        sockets: Err(no()),
        cores: Err(no()),
    };
    let findings = findings(&facts);
    assert_eq!(findings.len(), 15);
    for finding in findings {
        assert_eq!(finding.state, State::Unknown, "{finding:?}");
        assert!(finding.message.ends_with("/proc: not here"), "{finding:?}");
    }
}

#[test]
fn names_are_short_enough_for_the_table() {
    assert!(findings(&healthy()).iter().all(|finding| finding.name.len() <= 12));
}
