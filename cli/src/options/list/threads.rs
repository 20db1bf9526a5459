//! Threads, CPUs and the interface of the kernel.

use throng::config::Backend;

use crate::options::definition::{Default, Flag, Group, Kind, OptionDef};
use crate::options::parse;

pub(super) static OPTIONS: &[OptionDef] = &[
    OptionDef {
        key: "workers",
        flag: Some(Flag::new("workers", "N").most_used()),
        group: Group::Threads,
        kind: Kind::Count,
        default: Default::Words {
            says: "one per CPU that the cgroup's quota leaves",
            example: "4",
        },
        help: "Threads",
        doc: "From 1 to 1024. The affinity mask counts as well as the quota.",
        set: set!(config.workers, parse::workers),
        reload: at_start!(config.workers),
    },
    OptionDef {
        key: "pin",
        flag: Some(Flag::new("pin", "CPUS")),
        group: Group::Threads,
        kind: Kind::Text,
        default: Default::Value("auto"),
        help: "CPUs that threads are pinned to: auto (each has its own if there are as many \
               threads as CPUs, else none), off, or a list like 0,2-5",
        doc: "A list is used round robin, and without `workers` there is a thread for each of it.",
        set: set!(config.pin, str::parse),
        reload: at_start!(config.pin),
    },
    OptionDef {
        key: "backend",
        flag: Some(Flag::new("backend", "BACKEND").most_used()),
        group: Group::Threads,
        kind: Kind::Word(Backend::WORDS),
        default: Default::Value("auto"),
        help: "Kernel interface; auto takes io_uring where it works",
        doc: "`auto` takes io_uring where the kernel has and permits it for all workers, else \
              epoll; the log says why.",
        set: set!(config.backend, str::parse),
        reload: at_start!(config.backend),
    },
];
