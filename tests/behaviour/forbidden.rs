//! Where io_uring is forbidden, as it is in most containers.

use std::process::Command;

use testkit::client::{Client, text};
use testkit::process::Launch;

use crate::support::{PATIENCE, PROGRAM, clients, skip};

/// Makes system calls fail from here on, as a container's seccomp profile does, and becomes the
/// program behind the `--`. A rule is the number of the call and an errno, or also the first
/// argument with which it fails.
const FORBID: &str = r"
import ctypes, os, struct, sys
ALLOW, ERRNO, ARCH = 0x7fff0000, 0x00050000, {'x86_64': 0xc000003e, 'aarch64': 0xc00000b7}
def op(code, yes, no, value): return struct.pack('HBBI', code, yes, no, value)
split = sys.argv.index('--')
rules = op(0x20, 0, 0, 4) + op(0x15, 1, 0, ARCH[os.uname().machine]) + op(0x06, 0, 0, ALLOW)
for rule in sys.argv[1:split]:
    call, errno, *first = map(int, rule.split(':'))
    rules += op(0x20, 0, 0, 0)
    if first:
        rules += op(0x15, 0, 3, call) + op(0x20, 0, 0, 16) + op(0x15, 0, 1, first[0])
    else:
        rules += op(0x15, 0, 1, call)
    rules += op(0x06, 0, 0, ERRNO | errno)
rules += op(0x06, 0, 0, ALLOW)
memory = ctypes.create_string_buffer(rules)
program = struct.pack('HxxxxxxP', len(rules) // 8, ctypes.addressof(memory))
prctl = ctypes.CDLL(None, use_errno=True).prctl
prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
filters = ctypes.create_string_buffer(program)
if prctl(38, 1, 0, 0, 0) or prctl(22, 2, ctypes.addressof(filters), 0, 0):
    sys.exit('seccomp: ' + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[split + 1], sys.argv[split + 1:])
";

/// A system call, the errno that it fails with, and the first argument that it needs for that.
#[derive(Clone, Copy)]
pub(crate) struct Rule(pub(crate) libc::c_long, pub(crate) i32, pub(crate) Option<i32>);

/// A command that forbids these and becomes the program in its arguments; says so if it cannot.
pub(crate) fn forbid(rules: &[Rule]) -> Option<Vec<String>> {
    let rules = rules.iter().map(|Rule(call, errno, first)| match first {
        Some(first) => format!("{call}:{errno}:{first}"),
        None => format!("{call}:{errno}"),
    });
    let wrapper = ["python3", "-c", FORBID].map(str::to_owned).into_iter().chain(rules);
    let wrapper: Vec<String> = wrapper.chain(["--".to_owned()]).collect();
    let trial = Command::new(&wrapper[0]).args(&wrapper[1..]).arg("/bin/true").output();
    if !trial.is_ok_and(|output| output.status.success()) {
        skip("python3 cannot forbid system calls here");
        return None;
    }
    Some(wrapper)
}

/// The same for io_uring.
pub(crate) fn forbid_io_uring(errno: i32) -> Option<Vec<String>> {
    forbid(&[Rule(libc::SYS_io_uring_setup, errno, None)])
}

fn forbidden(errno: i32, args: &[&str]) -> Option<Launch> {
    let launch = Launch::new(PROGRAM).wrapped(forbid_io_uring(errno)?);
    Some(launch.args(["--listen", "127.0.0.1:0", "--workers", "2"]).args(args))
}

#[test]
fn the_server_works_on_epoll_and_says_why() {
    for (errno, reason) in
        [(libc::EPERM, "forbidden"), (libc::ENOSYS, "this kernel has no io_uring")]
    {
        for args in [&["--backend", "auto"][..], &[]] {
            let Some(launch) = forbidden(errno, args) else { return };
            let server = launch.start();
            let log = server.log();
            let told =
                log.lines().filter(|line| line.contains("backend epoll")).collect::<Vec<_>>();
            assert!(matches!(told[..], [line] if line.contains(reason)), "{log}");
            let mut room: [Client; 4] = clients(server.address(), "/room/a");
            room[0].write(&text("on epoll"));
            for client in &mut room {
                assert_eq!(client.frame().payload, b"on epoll");
            }
        }
    }
}

#[test]
fn who_insists_on_io_uring_is_told_why_it_does_not_start() {
    let Some(launch) = forbidden(libc::EPERM, &["--backend", "io_uring"]) else { return };
    let finished = launch.run(PATIENCE);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let [line] = finished.stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("one line was expected:\n{}", finished.stderr)
    };
    assert!(line.starts_with("throng: io_uring does not work here"), "{line}");
    assert!(line.contains("forbidden") && line.contains("--backend epoll"), "{line}");
}

#[test]
fn where_it_is_permitted_it_is_taken() {
    if !crate::support::has_io_uring() {
        return;
    }
    let server = Launch::new(PROGRAM).args(["--listen", "127.0.0.1:0", "--workers", "2"]).start();
    assert!(server.log().contains("backend io_uring, because"), "{}", server.log());
    let tasks = server.tasks();
    let rings = tasks.iter().filter(|task| task.name.starts_with("worker-"));
    let rings = rings.flat_map(|task| &task.descriptors).filter(|to| to.contains("io_uring"));
    assert_eq!(rings.count(), 2, "each worker has a ring of its own: {tasks:?}");
}
