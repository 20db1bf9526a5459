#!/usr/bin/env bash
# What batch_delay saves: CPU per delivery and latency by delay, 500 subscribers, 200 publications a
# second of four publishers, one worker. Prints a table in Markdown; four minutes for both backends.
#
#   scripts/batches.sh [ROUNDS]
#
# Rounds are interleaved, and the medians count. It needs `cargo build --release --workspace`.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

for backend in epoll io_uring; do
    for round in $(seq "$rounds"); do
        for delay in 0 5 20 50 100; do
            printf '[[rooms]]\nmatch = "*"\nbatch_delay = "%sms"\n' "$delay" > "$folder/$delay.toml"
            target/release/loadtest broadcast --connections 500 --publishers 4 --rate 200 \
                --duration 6s --cpus 1 --server-cpus 0 \
                --json "$folder/$backend-$delay-$round.json" \
                --url ws://127.0.0.1:9390/room/a \
                --spawn "target/release/throng --config $folder/$delay.toml --operator off \
                    --workers 1 --listen 127.0.0.1:9390 --backend $backend" \
                > "$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
        done
    done
done

python3 - "$folder" "$rounds" <<'PYTHON'
import json, statistics, sys

folder, rounds = sys.argv[1], int(sys.argv[2])
print("| backend | batch_delay | CPU per delivery | of that at 0 | in a send | p50 | p99 |")
print("|---|---|---|---|---|---|---|")
for backend in ("epoll", "io_uring"):
    at_zero = None
    for delay in (0, 5, 20, 50, 100):
        runs = []
        for number in range(1, rounds + 1):
            report = json.load(open(f"{folder}/{backend}-{delay}-{number}.json"))
            figures = {f["id"]: f["value"] for s in report["sections"] for f in s["figures"]}
            latency = next(l for l in report["latencies"] if l["id"] == "delivery_latency")
            runs.append((figures, latency))
        median = lambda pick: statistics.median(pick(*run) for run in runs)
        cpu = median(lambda f, _: f["server_cpu_us"])
        at_zero = at_zero or cpu
        each = median(lambda f, _: f["server.messages_delivered"] / f["server.sends"])
        at = lambda l, share: dict((p, us) for p, us in l["percentiles"])[share] / 1000
        p50, p99 = (median(lambda _, l, share=share: at(l, share)) for share in (50.0, 99.0))
        print(f"| {backend} | {delay} ms | {cpu:.2f} us | {cpu / at_zero:.2f} | {each:.1f} "
              f"| {p50:.1f} ms | {p99:.1f} ms |")
PYTHON
