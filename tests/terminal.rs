//! ostler as PID 1 on a terminal: keys reach the child, the foreground comes and goes, a hang-up is no trap.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use nix::unistd::{Pid, getsid};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;
use support::terminal::{CTRL_BACKSLASH, CTRL_C, CTRL_Z, Terminal};
use support::{
    Namespace, OSTLER, Setup, children, eventually, field, fixture, kill, state, ticks_in_a_second, tini,
};

/// A program that prints every signal it gets.
fn signals() -> String {
    fixture("signals.py").display().to_string()
}

/// It, under `init`, on a terminal of its own.
fn listening(init: &str) -> (Terminal, Namespace) {
    let terminal = Terminal::new();
    let mut namespace = terminal.setup(init, ["-v", "--", "python3", &signals()]).start();
    namespace.wait_for_out("ready\n");
    (terminal, namespace)
}

/// The leader: the first child that PID 1 has.
fn leader(namespace: &Namespace) -> u32 {
    children(namespace.init())[0]
}

#[test]
fn keys_reach_the_child_once() {
    for (key, number, name) in [(CTRL_C, 2, "SIGINT"), (CTRL_BACKSLASH, 3, "SIGQUIT")] {
        for init in [OSTLER, tini()] {
            let (terminal, mut namespace) = listening(init);
            terminal.press(key);
            namespace.wait_for_out(&format!("got {number}\n"));
            // Had ostler got one too, it would have passed that on before this.
            namespace.signal(10);
            namespace.wait_for_out("got 10\n");
            namespace.signal(15);
            assert_eq!(namespace.end(), 0);
            let out = namespace.out();
            let got: Vec<_> = out.lines().filter_map(|line| line.strip_prefix("got ")).collect();
            assert_eq!(got, [&number.to_string(), "10", "15"], "{init}");
            assert!(!namespace.err().contains(name), "{}", namespace.err());
        }
    }
}

/// Goes into the group of its init, takes that to the foreground if told to, and becomes the rest.
const JOINS: &str = "import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
os.setpgid(0, 1)
if sys.argv[1] == 'fore': os.tcsetpgrp(0, 1)
signal.signal(signal.SIGTTOU, signal.SIG_DFL)
os.execvp(sys.argv[2], sys.argv[2:])";

/// A child of ostler's that has done so.
fn joined(terminal: &Terminal, ground: &str, program: &[&str]) -> Namespace {
    let arguments = [&["-v", "--", "python3", "-c", JOINS, ground], program].concat();
    terminal.setup(OSTLER, arguments).start()
}

#[test]
fn control_in_the_group_of_its_init_a_child_gets_keys_twice() {
    let terminal = Terminal::new();
    let mut namespace = joined(&terminal, "fore", &["python3", &signals()]);
    namespace.wait_for_out("ready\n");
    // Two that are pending at once are one, so one press may not do.
    let mut pressed = 0;
    eventually("more arrives than was pressed", || {
        terminal.press(CTRL_C);
        pressed += 1;
        sleep(Duration::from_millis(50));
        namespace.out().matches("got 2\n").count() > pressed
    });
    namespace.wait_for_err("signal=SIGINT");
}

#[test]
fn the_child_is_in_the_foreground() {
    let (terminal, namespace) = listening(OSTLER);
    assert_eq!(terminal.foreground(), leader(&namespace));
    // The control: where stdin is no terminal ostler leaves it alone.
    let terminal = Terminal::new();
    let script = "exec \"$0\" -- sh -c 'echo ready; exec sleep 60' </dev/null";
    let mut namespace = terminal.setup("sh", ["-c", script, OSTLER]).start();
    namespace.wait_for_out("ready\n");
    assert_eq!(terminal.foreground(), namespace.init());
}

#[test]
fn the_next_generation_has_the_terminal_too() {
    let terminal = Terminal::new();
    let setup = terminal.setup(OSTLER, ["-v", "--", "python3", &signals()]);
    let mut namespace = setup.env("OSTLER_SIGNALS", "USR2=@recycle").start();
    namespace.wait_for_out("ready\n");
    namespace.signal(12);
    namespace.wait_for_out("ready\ngot 15\nready\n");
    assert_eq!(terminal.foreground(), leader(&namespace));
    terminal.press(CTRL_C);
    namespace.wait_for_out("ready\ngot 15\nready\ngot 2\n");
}

/// A leader that waits for one member of its group, with a stranger beside it that ostler has adopted.
const FAMILY: &str = "(setsid sleep 600 </dev/null &); sleep 600 & \
                      trap 'echo usr1' USR1; trap 'kill $!; wait; echo asked; exit 4' TERM; echo ready; while :; do wait; done";

/// It, stopped by ctrl-Z: the leader, the member, the stranger.
fn suspended(flags: &[&str]) -> (Terminal, Namespace, [u32; 3]) {
    let terminal = Terminal::new();
    let mut namespace = terminal.setup(OSTLER, [flags, &["--", "sh", "-c", FAMILY]].concat()).start();
    namespace.wait_for_out("ready");
    let (leader, ostler) = (leader(&namespace), namespace.init());
    eventually("there are three", || children(leader).len() == 1 && children(ostler).len() == 2);
    let [member, stranger] = [children(leader)[0], children(ostler)[1]];
    // Until it has called setsid(2) it is of the leader's group, and would be stopped with that for ever.
    let itself = Pid::from_raw(stranger.cast_signed());
    eventually("the stranger is one", || getsid(Some(itself)) == Ok(itself));
    terminal.press(CTRL_Z);
    eventually("its group is stopped", || [leader, member].iter().all(|pid| state(*pid) == Some('T')));
    (terminal, namespace, [leader, member, stranger])
}

#[test]
fn ctrl_z_stops_the_child_and_not_ostler() {
    let (_terminal, mut namespace, [leader, _, stranger]) = suspended(&["-v"]);
    let ostler = namespace.init();
    // The control: who is in another group is not stopped.
    eventually("these go on", || [ostler, stranger].iter().all(|pid| state(*pid) == Some('S')));
    // It reaps, and passes on.
    kill(stranger, 9);
    eventually("the stranger is reaped", || children(ostler) == [leader]);
    namespace.signal(10);
    namespace.wait_for_err("signal=SIGUSR1");
    assert_eq!((state(leader), namespace.out().as_str()), (Some('T'), "ready\n"));
    namespace.signal(18);
    namespace.wait_for_out("usr1\n");
    assert_ne!(state(leader), Some('T'));
}

#[test]
fn with_g_all_that_ctrl_z_has_stopped_goes_on() {
    let (_terminal, namespace, [leader, member, _]) = suspended(&["-g"]);
    namespace.signal(18);
    eventually("both go on", || [leader, member].iter().all(|pid| state(*pid) == Some('S')));
}

#[test]
fn what_ctrl_z_has_stopped_can_be_stopped_for_good() {
    // The leader waits for its member to end, as gunicorn does for its workers.
    let (_terminal, mut namespace, _) = suspended(&[]);
    namespace.signal(15);
    assert_eq!(namespace.end(), 4, "{}", namespace.err());
    assert!(namespace.events("grace-expired").is_empty(), "{}", namespace.err());
}

#[test]
fn the_child_is_told_of_the_size() {
    let child = ["sh", "-c", "trap 'stty size' WINCH; echo ready; stty size; while :; do sleep 0.05; done"];
    let terminal = Terminal::new();
    let mut namespace = terminal.setup(OSTLER, [&["-v", "--"], &child[..]].concat()).start();
    namespace.wait_for_out("ready\n24 80\n");
    terminal.resize(132, 43);
    namespace.wait_for_out("ready\n24 80\n43 132\n");
    terminal.resize(100, 30);
    namespace.wait_for_out("ready\n24 80\n43 132\n30 100\n");
    assert!(!namespace.err().contains("SIGWINCH"), "{}", namespace.err());
    // The control: only the foreground is told.
    let terminal = Terminal::new();
    let mut namespace = joined(&terminal, "back", &child);
    namespace.wait_for_out("24 80\n");
    terminal.resize(132, 43);
    sleep(Duration::from_millis(500));
    assert_eq!(namespace.out(), "ready\n24 80\n");
}

/// A shell that runs `init` with a command, and then reads from the terminal.
fn read_after(terminal: &Terminal, init: &str, command: &str) -> String {
    let script = "stty tostop; \"$0\" -- sh -c \"$1\"; echo $? > status; \
                  if read line; then echo \"read $line\"; else echo refused; fi";
    let mut namespace = terminal.setup("sh", ["-c", script, init, command]).start();
    terminal.press("hello\n");
    namespace.end();
    format!("{}{}", namespace.folder.read("status"), namespace.out())
}

#[test]
fn the_foreground_is_given_back() {
    // stty tostop: taking it back from the background is answered with SIGTTOU by default.
    for (command, status) in [("exit 3", 3), ("kill -9 $$", 137), ("exec /nonexistent", 127)] {
        let terminal = Terminal::new();
        assert_eq!(read_after(&terminal, OSTLER, command), format!("{status}\nread hello\n"));
        // The control: tini leaves it to a group that is gone, and the shell's read fails.
        let terminal = Terminal::new();
        assert_eq!(read_after(&terminal, tini(), command), format!("{status}\nrefused\n"));
    }
}

#[test]
fn no_output_from_the_background_does_not_mean_ostlers_log() {
    let mut terminal = Terminal::new();
    let script = "stty tostop; exec \"$0\" -v -- python3 \"$1\" 2>/dev/tty";
    let mut namespace = terminal.setup("sh", ["-c", script, OSTLER, &signals()]).start();
    namespace.wait_for_out("ready\n");
    namespace.signal(10);
    namespace.wait_for_out("got 10\n");
    terminal.wait_for(" signal-forwarded: sent on signal=SIGUSR1");
    namespace.signal(15);
    assert_eq!((namespace.end(), namespace.out().as_str()), (0, "ready\ngot 10\ngot 15\n"));
    // The control: anybody else in ostler's group is refused.
    let terminal = Terminal::new();
    let writes = "stty tostop <&2; echo in vain >&0 || echo refused";
    let script = "exec 2>/dev/tty; stty tostop; exec \"$0\" -- python3 -c \"$1\" back sh -c \"$2\"";
    let mut namespace = terminal.setup("sh", ["-c", script, OSTLER, JOINS, writes]).start();
    namespace.wait_for_out("refused");
}

/// Works at a shell: starts a job, suspends it, takes it up again, interrupts it, and leaves.
fn work_at(shell: &[&str], terminal: &mut Terminal, namespace: &mut Namespace) {
    let shell_is_there = |terminal: &Terminal, pid| {
        eventually("the shell has the terminal", || terminal.foreground() == pid);
    };
    // Until it is executed it ignores the keys, as the shell does.
    let job_is_there = |terminal: &Terminal| {
        let name = |pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        eventually("the job has the terminal", || name(terminal.foreground()) == "sleep\n");
    };
    eventually("there is a shell", || !children(namespace.init()).is_empty());
    let pid = leader(namespace);
    shell_is_there(terminal, pid);
    terminal.press("sleep 600\n");
    job_is_there(terminal);
    terminal.press(CTRL_Z);
    terminal.wait_for("Stopped");
    shell_is_there(terminal, pid);
    terminal.press("fg\n");
    job_is_there(terminal);
    terminal.press(CTRL_C);
    shell_is_there(terminal, pid);
    terminal.press("echo status-$?\n");
    terminal.wait_for("status-130");
    terminal.press("exit 7\n");
    assert_eq!(namespace.end(), 7, "{shell:?}: {}", terminal.screen());
}

#[test]
fn an_interactive_shell_has_job_control() {
    for shell in [&["bash", "--norc", "-i"][..], &["sh", "-i"]] {
        let arguments = [&[OSTLER, "--"], shell].concat();
        let start = |terminal: &Terminal, session: &[&str]| {
            let setup = Setup::new("setsid", [session, &arguments].concat());
            let stdin = Stdio::from(terminal.slave.try_clone().unwrap());
            setup.stdin(stdin).output(&terminal.slave).start()
        };
        let complains = |screen: &str| screen.contains("job control");
        let mut terminal = Terminal::new();
        let mut namespace = start(&terminal, &["--ctty"]);
        work_at(shell, &mut terminal, &mut namespace);
        assert!(!complains(&terminal.screen()), "{}", terminal.screen());
        // The control: a terminal that is not the session's own.
        let mut terminal = Terminal::new();
        let _namespace = start(&terminal, &[]);
        eventually("the shell complains", || complains(&terminal.screen()));
    }
}

/// Waits for what a dead terminal always says: that it has been hung up.
const SPINS: &str = "import select, signal
for number in [signal.SIGHUP, signal.SIGCONT]: signal.signal(number, lambda *_: print('heard', flush=True))
asked = select.poll()
asked.register(0, 0)
print('ready', flush=True)
while True: asked.poll()";

#[test]
fn a_hang_up_is_passed_on_and_ostler_sleeps_on() {
    // All three are the terminal. The second time the child's lines go through ostler, more than the terminal takes, so
    // that it waits for room there.
    let counted = [("OSTLER_MAX_REQUESTS", "1000"), ("OSTLER_COUNT", "stdout")];
    for (before, environment) in [("", &[][..]), ("yes | head -c 300000; ", &counted)] {
        let terminal = Terminal::new();
        let script = format!("{before}exec python3 \"$0\" >got 2>&1");
        let setup = terminal.setup(OSTLER, ["-v", "--", "sh", "-c", &script, &signals()]);
        let setup = environment.iter().fold(setup, |setup, (name, value)| setup.env(name, value));
        let namespace = setup.output(&terminal.slave).start();
        let got = |words: &str| {
            eventually(words, || namespace.folder.read("got").contains(words));
        };
        got("ready\n");
        assert!(ticks_in_a_second(namespace.init()) < 10, "{before} on the terminal");
        drop(terminal);
        got("got 1\n");
        got("got 18\n");
        namespace.signal(10);
        got("got 10\n");
        let heard = namespace.folder.read("got");
        assert_eq!(["got 1\n", "got 18\n"].map(|words| heard.matches(words).count()), [1, 1], "{heard}");
        assert!(ticks_in_a_second(namespace.init()) < 10, "{before} after the hang-up");
    }
    // The control: whoever does not mind is seen to spin.
    let terminal = Terminal::new();
    let mut namespace = terminal.setup(OSTLER, ["--", "python3", "-c", SPINS]).start();
    namespace.wait_for_out("ready\n");
    drop(terminal);
    namespace.wait_for_out("heard\n");
    eventually("it spins", || ticks_in_a_second(leader(&namespace)) > 20);
}

#[test]
fn ctrl_s_stops_the_screen_and_nothing_else() {
    let got = |namespace: &Namespace| namespace.folder.read("got");
    let stopped = |init: &str, flag: &str, said: &str| {
        let mut terminal = Terminal::new();
        let child = "exec python3 \"$0\" >got 2>&1";
        let setup = terminal.setup(init, [flag, "--", "sh", "-c", child, &signals()]);
        let namespace = setup.output(&terminal.slave).start();
        eventually("the child is ready", || got(&namespace) == "ready\n");
        // Which may be later, and is not to be among what is dropped.
        terminal.wait_for(said);
        terminal.stop();
        namespace.signal(10);
        (terminal, namespace)
    };
    let (mut terminal, mut namespace) = stopped(OSTLER, "-v", "generation-started: ");
    eventually("the signal passes", || got(&namespace) == "ready\ngot 10\n");
    terminal.go_on();
    namespace.signal(12);
    terminal.wait_for("SIGUSR2");
    let screen = terminal.screen();
    // The control: what was said while the screen stood still is what was dropped.
    assert!(!screen.contains("SIGUSR1"), "{screen}");
    assert_eq!(field(screen.lines().find(|line| line.contains("-dropped: ")).unwrap(), "count"), 1);
    namespace.signal(15);
    assert_eq!((namespace.end(), got(&namespace).as_str()), (0, "ready\ngot 10\ngot 12\ngot 15\n"));
    // The control: tini waits for its log.
    let (_terminal, namespace) = stopped(tini(), "-vvv", "Spawned child process");
    sleep(Duration::from_millis(700));
    assert_eq!(got(&namespace), "ready\n");
}

#[test]
fn a_pipe_is_read_by_the_child() {
    let script = "echo 6 | \"$0\" -- sh -c 'read number; exit $number'";
    assert_eq!(Setup::new("sh", ["-c", script, OSTLER]).run().end(), 6);
}
