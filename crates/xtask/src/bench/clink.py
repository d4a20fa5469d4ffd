"""Runs a script of SQL on clink until its table "results" has the rows that are expected.

A Kafka source of clink has no end, so the rows are counted. When no row has come for some time
the rest is lost: late rows are dropped in silence. The process then fails, as it does when there
are too many rows. It ends without taking the engine down, whose costs are not the query's.

With --rows the rows are written to a folder, to be compared: a line of JSON each, with the names
that the benchmark's own queries give their columns.
"""

import argparse
import json
import os
import sys
import threading
import time

import pyclink

# The names of columns that are reserved words of clink's.
RENAMED = {"opens": "window_start", "n": "orders"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("script")
    parser.add_argument("--expect", type=int, required=True, help="rows of the answer")
    parser.add_argument("--parallelism", type=int, required=True)
    parser.add_argument("--idle", type=float, required=True, help="seconds without a row")
    parser.add_argument("--rows", help="folder for the rows")
    return parser.parse_args()


class Progress:
    """How many rows came, and when the last ones did."""

    def __init__(self):
        self.rows = 0
        self.is_whole = False
        self.changed_at = time.monotonic()

    def add(self, rows):
        self.rows += rows
        self.changed_at = time.monotonic()

    def idle_s(self):
        return 0 if self.is_whole else time.monotonic() - self.changed_at


def end(message, status):
    print(message, flush=True)
    os._exit(status)


def give_up_when_idle(progress, expected, idle_max_s):
    while progress.idle_s() < idle_max_s:
        time.sleep(0.25)
    lost = f"no row came for {idle_max_s:.0f} s; {progress.rows} rows of {expected} are there"
    end(lost, 3)


def write_rows(batches, folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "clink.jsonl"), "w") as lines:
        for batch in batches:
            names = [RENAMED.get(name, name) for name in batch.schema.names]
            columns = [column.to_pylist() for column in batch.columns]
            for values in zip(*columns):
                row = dict(zip(names, values))
                if "window_start" in row:
                    row["window_start"] = utc(row["window_start"])
                lines.write(json.dumps(row) + "\n")


def utc(ms):
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000))
    return f"{seconds}.{ms % 1000:03}Z"


def main():
    asked = arguments()
    progress = Progress()
    watcher = (progress, asked.expect, asked.idle)
    threading.Thread(target=give_up_when_idle, args=watcher, daemon=True).start()
    engine = pyclink.Engine(parallelism=asked.parallelism)
    with open(asked.script) as script:
        engine.execute(script.read())
    batches = []
    for batch in engine.collect("results"):
        progress.add(batch.num_rows)
        if asked.rows:
            batches.append(batch)
        if progress.rows >= asked.expect:
            break
    progress.is_whole = True
    if asked.rows:
        write_rows(batches, asked.rows)
    end(f"{progress.rows} rows", 0 if progress.rows == asked.expect else 4)


if __name__ == "__main__":
    sys.exit(main())
