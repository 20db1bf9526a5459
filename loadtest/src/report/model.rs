//! A report as values. Its JSON is the interface to other programs: names and units are stable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Changes when older programs would misread a report.
pub(crate) const SCHEMA: u32 = 1;

/// Everything that a run has found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) schema: u32,
    pub(crate) title: String,
    pub(crate) scenario: String,
    /// The command line.
    pub(crate) command: Vec<String>,
    /// Seconds since 1970 at its begin.
    pub(crate) started_unix_s: u64,
    pub(crate) host: Host,
    #[serde(default)]
    pub(crate) server: ServerFacts,
    /// What was asked for: runs that differ in it are not to be compared.
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, f64>,
    /// Whether all that was expected has held.
    pub(crate) is_ok: bool,
    /// What has not held.
    pub(crate) problems: Vec<String>,
    /// Whether under 10 % of the loader's CPUs were idle, as programs ask; `bound` says more.
    pub(crate) is_loader_bound: bool,
    /// What else than the server its rates and times may be of.
    #[serde(default)]
    pub(crate) bound: Bound,
    /// How figures are to be read.
    pub(crate) notes: Vec<String>,
    pub(crate) sections: Vec<Section>,
    pub(crate) latencies: Vec<Latency>,
    pub(crate) series: Vec<TimeSeries>,
}

/// What else than the server rates and times may be of; the later ones are worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    /// The server alone, as far as is known.
    #[default]
    Server,
    /// Of both ends together: they run on the same CPUs, which are used up.
    SharedCpus,
    /// The loader's: its own CPUs or one of its threads are used up.
    Loader,
}

impl Bound {
    /// What it means for who reads the figures.
    pub(crate) fn meaning(self) -> Option<&'static str> {
        match self {
            Self::Server => None,
            Self::SharedCpus => Some(
                "both ends ran on the same CPUs, which were used up: rates and times are of both, \
                 what a message costs the server is its own",
            ),
            Self::Loader => Some(
                "LOADER-BOUND: under 10 % of the loader's CPUs or of its busiest thread were \
                 idle, so rates and times may be its own; more --threads, or CPUs of its own \
                 (--cpus, --server-cpus)",
            ),
        }
    }
}

/// The machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Host {
    pub(crate) cpus: usize,
    pub(crate) cpu_model: String,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
}

/// What was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ServerFacts {
    /// Where connections go.
    pub(crate) url: String,
    /// What the host of it stands for.
    pub(crate) address: String,
    /// What the process is called; `None` if none is watched.
    pub(crate) program: Option<String>,
    /// What it waits for the kernel with; `None` if none is watched.
    pub(crate) backend: Option<String>,
}

impl ServerFacts {
    /// All that is known, in one line.
    pub(crate) fn line(&self) -> Option<String> {
        let address = Some(&self.address).filter(|address| !self.url.contains(*address));
        let parts = [Some(&self.url), address, self.program.as_ref(), self.backend.as_ref()];
        let known = parts.into_iter().flatten().filter(|part| !part.is_empty());
        let known: Vec<&str> = known.map(String::as_str).collect();
        (!known.is_empty()).then(|| known.join(", "))
    }
}

/// Figures that belong together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) figures: Vec<Figure>,
    /// Labels of figures that could not be measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_known: Vec<String>,
}

/// One figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Stable, unique in a report.
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
    pub(crate) better: Better,
}

/// Which of two values of a figure wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Higher,
    Lower,
    /// It only describes.
    Neither,
}

/// A distribution of latencies.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Stable, unique in a report.
    pub(crate) id: String,
    pub(crate) label: String,
    /// From which moment to which.
    pub(crate) measured: String,
    pub(crate) count: u64,
    pub(crate) mean_us: f64,
    pub(crate) max_us: f64,
    /// Percentiles and microseconds.
    pub(crate) percentiles: Vec<(f64, f64)>,
}

/// A figure over the time of the run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct TimeSeries {
    /// Stable, unique in a report.
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) unit: String,
    /// The title of the plot that it shares with others; `None` is a plot of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) plot: Option<String>,
    /// Seconds and values.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Report {
    /// Adds a section and gives it to be filled.
    pub(crate) fn section(&mut self, title: &str) -> &mut Section {
        self.sections.push(Section { title: title.to_owned(), ..Section::default() });
        self.sections.last_mut().expect("one was just added")
    }

    /// Something that was asked for, and on which figures depend.
    pub(crate) fn parameter(&mut self, name: &str, value: f64) {
        self.parameters.insert(name.to_owned(), value);
    }

    /// Those of options that are off by default, at 0: left out if they are, as in reports that are
    /// older than the option.
    pub(crate) fn parameters_beyond_default<const N: usize>(
        &mut self,
        parameters: [(&str, f64); N],
    ) {
        for (name, value) in parameters.into_iter().filter(|(_, value)| *value > 0.0) {
            self.parameter(name, value);
        }
    }

    /// The value of a figure.
    pub(crate) fn value(&self, id: &str) -> Option<f64> {
        let mut figures = self.sections.iter().flat_map(|section| &section.figures);
        figures.find(|figure| figure.id == id).map(|figure| figure.value)
    }

    /// Something that was expected has not held.
    pub(crate) fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    /// Figures of a part are also of something else; the worst part counts.
    pub(crate) fn bind(&mut self, bound: Bound) {
        self.bound = self.bound.max(bound);
        self.is_loader_bound = self.bound > Bound::Server;
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// Adds latencies, unless there are none.
    pub(crate) fn latency(
        &mut self,
        (id, label): (&str, &str),
        measured: &str,
        latencies: &crate::measure::histogram::Latencies,
    ) {
        if latencies.count() == 0 {
            return;
        }
        let percentiles = crate::measure::histogram::PERCENTILES;
        self.latencies.push(Latency {
            id: id.to_owned(),
            label: label.to_owned(),
            measured: measured.to_owned(),
            count: latencies.count(),
            mean_us: latencies.mean_us(),
            max_us: latencies.max_us(),
            percentiles: percentiles.iter().map(|p| (*p, latencies.at_us(*p))).collect(),
        });
    }
}

impl Section {
    /// Adds a figure.
    pub(crate) fn add(&mut self, id: &str, label: &str, value: f64, unit: &str, better: Better) {
        self.figures.push(Figure {
            id: id.to_owned(),
            label: label.to_owned(),
            value,
            unit: unit.to_owned(),
            better,
        });
    }

    /// Adds a figure that could not be measured; the label says what it takes.
    pub(crate) fn not_known(&mut self, label: &str) {
        self.not_known.push(label.to_owned());
    }

    /// Adds a figure that only describes.
    pub(crate) fn tell(&mut self, id: &str, label: &str, value: f64, unit: &str) {
        self.add(id, label, value, unit, Better::Neither);
    }

    /// Adds a figure of which less is better.
    pub(crate) fn cost(&mut self, id: &str, label: &str, value: f64, unit: &str) {
        self.add(id, label, value, unit, Better::Lower);
    }

    /// Adds a figure of which more is better.
    pub(crate) fn gain(&mut self, id: &str, label: &str, value: f64, unit: &str) {
        self.add(id, label, value, unit, Better::Higher);
    }
}
