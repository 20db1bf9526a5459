//! How long a round of each workload takes, on this machine and in its mood of the moment:
//! `cargo bench --bench time -- [PART OF A NAME]`. What does not depend on the mood is counted by
//! `instructions`.

mod workloads;

use divan::Bencher;
use divan::counter::ItemsCount;
use workloads::Case;

#[divan::bench(args = workloads::all())]
fn round(bencher: Bencher<'_, '_>, case: &Case) {
    let round = (case.make)();
    bencher.counter(ItemsCount::new(case.units)).bench_local(round);
}

fn main() {
    divan::main();
}
