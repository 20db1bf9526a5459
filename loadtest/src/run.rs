//! What every scenario needs around it: the server, the crew, waiting, watching, the report.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadtest::units::Cpus;
use nix::unistd::Pid;

use crate::clock::{Clock, nanoseconds, seconds};
use crate::engine::calibration::{self, LoaderEnd};
use crate::engine::tally::LiveCounts;
use crate::engine::{Behaviour, Crew, Opening, Seeds, table};
use crate::measure::kernel::{self, KernelMemory};
use crate::measure::memory::MemoryState;
use crate::measure::process::resident_bytes;
use crate::measure::sampler::Sampler;
use crate::measure::window::{LoaderCpus, Place, Window};
use crate::options::Common;
use crate::output::Output;
use crate::progress::Progress;
use crate::report;
use crate::report::model::{Host, Report, SCHEMA, ServerFacts};
use crate::server::{Server, allowed_cpus, pin_this_thread};
use crate::signals;
use crate::target::{Target, Url};
use crate::template::Template;

/// How often the conducting thread looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// With less than this to be had, or than a tenth of all memory, a run ends by itself before the
/// machine runs out.
const AVAILABLE_BYTES_MIN: u64 = 1 << 30;

/// How long all connects of a step may take together.
const OPENING_MAX: Duration = Duration::from_secs(600);

/// How long freed memory may take until it has gone back to the system, but for what a burst has
/// left.
pub(crate) const SETTLE_TIME: Duration = Duration::from_millis(2500);

/// Where Throng listens by default.
const DEFAULT_AUTHORITY: &str = "ws://127.0.0.1:8080";

/// A run under way.
pub(crate) struct Run {
    pub(crate) common: Common,
    pub(crate) clock: Clock,
    pub(crate) report: Report,
    pub(crate) progress: Progress,
    pub(crate) sampler: Sampler,
    pub(crate) server: Option<Server>,
    pub(crate) url: Url,
    pub(crate) target: Target,
    pub(crate) loader_end: Option<LoaderEnd>,
    outputs: Outputs,
    place: Place,
    limit: usize,
}

/// Where the report is written.
struct Outputs {
    json: Option<Output>,
    html: Option<Output>,
}

impl Run {
    /// Starts or finds the server. `path` is where Throng has what the scenario needs.
    pub(crate) fn start(common: &Common, scenario: &str, path: &str) -> Result<Self, String> {
        let clock = Clock::start();
        let common = common.clone();
        let open = |path: &Option<PathBuf>| path.as_deref().map(Output::open).transpose();
        let outputs =
            Outputs { json: open(&common.loader.json)?, html: open(&common.loader.html)? };
        let default = format!("{DEFAULT_AUTHORITY}{path}");
        let url = Url::parse(common.url.as_ref().unwrap_or(&default), "ws")?;
        let mut target = Target::new(&url, &common.header, &common.subprotocol)?;
        target.on_open = common.on_open.iter().map(|text| Template::new(text)).collect();
        let replies = common.reply.iter();
        target.replies =
            replies.map(|(to, with)| (to.clone().into(), with.clone().into())).collect();
        let limit = table::raise_limit();
        let cpus = common.server_cpus.as_ref();
        let server = match (&common.spawn, common.server_pid) {
            (Some(command), _) => Some(Server::spawn(command, target.address, cpus)?),
            (None, Some(pid)) => Some(Server::watch(pid, cpus)?),
            (None, None) => None,
        };
        if let Some(cpus) = &common.loader.cpus {
            pin_this_thread(cpus)?;
        }
        let place = place(&common, server.as_ref(), &target);
        let pid = server.as_ref().map(|server| server.pid);
        let mut report = Report {
            schema: SCHEMA,
            scenario: scenario.to_owned(),
            command: std::env::args().collect(),
            started_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()),
            host: host(),
            server: ServerFacts {
                url: format!("ws://{}{}", url.authority, url.path),
                address: target.address.to_string(),
                ..ServerFacts::default()
            },
            ..Report::default()
        };
        parameters(&mut report, &common);
        Ok(Self {
            clock,
            report,
            progress: Progress::new(),
            sampler: Sampler::new(clock, pid),
            server,
            url,
            target,
            loader_end: None,
            outputs,
            place,
            limit,
            common,
        })
    }

    pub(crate) fn server_pid(&self) -> Option<Pid> {
        self.server.as_ref().map(|server| server.pid)
    }

    /// How many threads have room for this many connections.
    pub(crate) fn threads(&self, connections: u64) -> Result<usize, String> {
        let wanted = self.common.loader.threads.map_or(self.place.loader.len(), usize::from);
        let wanted = wanted.min(connections.try_into().unwrap_or(usize::MAX));
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        table::threads_for(connections, wanted, self.limit).ok_or_else(|| {
            let limit = self.limit;
            format!(
                "{connections} connections do not fit into {} descriptor tables of {limit}; \
                 raise the limit: ulimit -Hn 1048576",
                table::THREADS_MAX
            )
        })
    }

    /// Starts loader threads, one for each behaviour, whose clients go where `--url` says.
    pub(crate) fn crew<B: Behaviour>(
        &self,
        seeds: Seeds,
        behaviours: Vec<B>,
    ) -> Result<Crew<B>, String> {
        self.crew_at(&self.target, seeds, behaviours)
    }

    /// Starts loader threads whose clients go somewhere else.
    pub(crate) fn crew_at<B: Behaviour>(
        &self,
        target: &Target,
        seeds: Seeds,
        behaviours: Vec<B>,
    ) -> Result<Crew<B>, String> {
        let loader = &self.common.loader;
        let opening = Opening {
            target: Arc::new(target.clone()),
            timeout_ns: nanoseconds(loader.timeout),
            under_way_max: (loader.connecting as usize / behaviours.len()).max(1),
            nap: loader.nap,
        };
        Crew::start(seeds, behaviours, &opening, self.clock).map_err(|error| error.to_string())
    }

    /// Begins a measurement.
    pub(crate) fn window(&self) -> Window {
        Window::begin(self.clock, self.server_pid(), &self.place)
    }

    /// Finds out what the loader's end of a connection costs the kernel. To be done when all
    /// connections are open: then the kernel has nothing left over that would make it look less.
    pub(crate) fn calibrate(&mut self, connections: u64) {
        if connections < report::memory::KERNEL_CONNECTIONS_MIN {
            return;
        }
        match calibration::loader_end(self.limit) {
            Ok(end) if end.bytes > 0.0 => self.loader_end = Some(end),
            Ok(_) => self.report.note(
                "the loader's end of a connection is not shown: /proc/slabinfo is for root, or \
                 the kernel gave slabs back while it was measured",
            ),
            Err(why) => {
                self.report.note(format!("the loader's end of a connection is not shown: {why}"))
            }
        }
    }

    /// Opens more connections and waits for them. Gives the seconds that it took, without those
    /// that the server gets for what clients send on open.
    pub(crate) fn open<B: Behaviour>(
        &mut self,
        crew: &mut Crew<B>,
        count: u64,
    ) -> Result<f64, String> {
        let begin = self.clock.now_ns();
        let rate = self.common.loader.connect_rate;
        crew.open(count, rate);
        let total = crew.asked();
        self.progress.begin("opening", total);
        let crew = &*crew;
        let has_opened = self.wait(OPENING_MAX, crew, |run, live| {
            let detail = format!("{} failed", live.failed);
            run.progress.update(live.opened, total, &detail);
            crew.has_opened()
        })?;
        let opening_s = seconds(self.clock.now_ns() - begin);
        if !has_opened {
            let (opened, longest) = (crew.live().opened, OPENING_MAX.as_secs());
            self.report.problem(format!("{opened} of {total} connections opened in {longest} s"));
        }
        if !self.target.on_open.is_empty() {
            self.wait(self.common.settle, crew, |_, _| false)?;
        }
        self.progress.end();
        Ok(opening_s)
    }

    /// Waits for some time, watching.
    pub(crate) fn hold<B: Behaviour>(
        &mut self,
        crew: &Crew<B>,
        step: &str,
        time: Duration,
    ) -> Result<(), String> {
        let until = self.clock.now_ns() + nanoseconds(time);
        self.progress.begin(step, time.as_secs());
        self.wait(time + Duration::from_secs(1), crew, |run, live| {
            let left = until.saturating_sub(run.clock.now_ns());
            let done = time.as_secs().saturating_sub(left / 1_000_000_000);
            let detail = format!("s, {} open, {} pings", live.open, live.pings);
            run.progress.update(done, time.as_secs(), &detail);
            left == 0
        })?;
        self.progress.end();
        Ok(())
    }

    /// Waits until something is so; false if it is not in time.
    ///
    /// # Errors
    ///
    /// If the run must end: a signal, the server has gone, or memory is running out.
    pub(crate) fn wait<B: Behaviour>(
        &mut self,
        longest: Duration,
        crew: &Crew<B>,
        mut is_done: impl FnMut(&mut Self, LiveCounts) -> bool,
    ) -> Result<bool, String> {
        let until = self.clock.now_ns().saturating_add(nanoseconds(longest));
        loop {
            let live = crew.live();
            self.sampler.sample_if_due(live.open, live.messages);
            if is_done(self, live) {
                return Ok(true);
            }
            self.check()?;
            if self.clock.now_ns() >= until {
                return Ok(false);
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    fn check(&mut self) -> Result<(), String> {
        if signals::is_stopping() {
            return Err("stopped by a signal".into());
        }
        if let Some(server) = &mut self.server
            && !server.is_running()
        {
            let said = server.last_words();
            return Err(format!("the server has ended while it was measured{said}"));
        }
        let least = AVAILABLE_BYTES_MIN.min(kernel::total_bytes() / 10);
        if kernel::available_bytes() < least {
            let least = least >> 20;
            return Err(format!("less than {least} MiB of memory is left: stopped in time"));
        }
        Ok(())
    }

    /// Memory, when what is to be freed has been: the lowest within some time.
    pub(crate) fn settled_memory<B: Behaviour>(
        &mut self,
        crew: &Crew<B>,
        time: Duration,
    ) -> Result<MemoryState, String> {
        let mut lowest: Option<u64> = None;
        self.progress.begin("settling", 0);
        self.wait(time, crew, |run, _| {
            let now = run.server_bytes();
            lowest = lowest.zip(now).map(|(lowest, now)| lowest.min(now)).or(now);
            false
        })?;
        self.progress.end();
        let connections = crew.live().open;
        Ok(MemoryState { connections, server_bytes: lowest, kernel: KernelMemory::read() })
    }

    /// The server's memory as [`Run::settled_memory`] has it; nothing is waited for if none is
    /// watched.
    pub(crate) fn settled_server_bytes<B: Behaviour>(
        &mut self,
        crew: &Crew<B>,
    ) -> Result<Option<u64>, String> {
        match &self.server {
            Some(_) => Ok(self.settled_memory(crew, SETTLE_TIME)?.server_bytes),
            None => Ok(None),
        }
    }

    fn server_bytes(&self) -> Option<u64> {
        self.server_pid().and_then(|pid| resident_bytes(pid).ok())
    }

    /// Memory before anything is connected.
    pub(crate) fn memory(&self) -> MemoryState {
        let server_bytes = self.server_bytes();
        MemoryState { connections: 0, server_bytes, kernel: KernelMemory::read() }
    }

    /// Names the server, while it runs, and the run.
    fn name_all(&mut self) {
        if let Some(server) = &self.server {
            self.report.server.program = server.program();
            self.report.server.backend = server.backend().map(str::to_owned);
        }
        let (scenario, loader) = (&self.report.scenario, &self.common.loader);
        let backend = self.report.server.backend.as_ref();
        let backend = backend.map(|backend| format!(", {backend}")).unwrap_or_default();
        let title = format!("loadtest {scenario}, {} connections{backend}", loader.connections);
        self.report.title = loader.title.clone().unwrap_or(title);
    }

    /// Ends the run: prints and writes the report. Gives whether all has held.
    pub(crate) fn finish(mut self) -> Result<bool, String> {
        self.progress.end();
        self.name_all();
        if let Some(server) = self.server.take() {
            let (log, problem) = server.stop();
            report::server_log::tell(&mut self.report, &log);
            self.report.problems.extend(problem);
        }
        self.report.series.extend(report::series::all(&self.sampler.samples));
        self.report.is_ok = self.report.problems.is_empty();
        print!("{}", report::table::render(&self.report));
        if let Some(output) = self.outputs.json {
            output.write(&report::json(&self.report)?)?;
        }
        if let Some(output) = self.outputs.html {
            output.write(&report::page::render(&self.report))?;
        }
        Ok(self.report.is_ok)
    }
}

/// On which CPUs both ends are. A server that is not watched may be on any of its machine.
fn place(common: &Common, server: Option<&Server>, target: &Target) -> Place {
    let loader = allowed_cpus(Pid::from_raw(0));
    let given = common.server_cpus.as_ref().map(|cpus| cpus.0.clone());
    let is_here = target.address.ip().is_loopback();
    let may_be_on = match (&given, server) {
        (Some(cpus), _) => cpus.clone(),
        (None, Some(server)) => allowed_cpus(server.pid),
        (None, None) => {
            if is_here {
                loader.clone()
            } else {
                Vec::new()
            }
        }
    };
    let is_shared = may_be_on.iter().any(|cpu| loader.contains(cpu));
    let shared = if is_shared { LoaderCpus::Shared } else { LoaderCpus::Own };
    Place { loader, server: given.unwrap_or_default(), shared }
}

/// What changes the figures of every scenario; no two runs that differ in it are compared.
fn parameters(report: &mut Report, common: &Common) {
    let loader = &common.loader;
    report.parameter("connections", loader.connections as f64);
    let cpus = |cpus: &Option<Cpus>| cpus.as_ref().map_or(0.0, |cpus| cpus.0.len() as f64);
    let optional = [
        ("connect_rate", loader.connect_rate),
        ("nap_seconds", loader.nap.as_secs_f64()),
        ("loader_threads", loader.threads.map_or(0.0, f64::from)),
        ("loader_cpus", cpus(&loader.cpus)),
        ("server_cpus", cpus(&common.server_cpus)),
    ];
    report.parameters_beyond_default(optional);
}

fn host() -> Host {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let kernel = nix::sys::utsname::uname();
    Host {
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        cpu_model: model
            .map_or("unknown", |model| model.trim_start_matches([' ', '\t', ':']))
            .into(),
        memory_bytes: kernel::total_bytes(),
        kernel: kernel.map(|kernel| kernel.release().to_string_lossy().into()).unwrap_or_default(),
    }
}
