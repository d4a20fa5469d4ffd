"""Computes the answer of a query with DuckDB, and compares rows of headwater with it.

The last line on standard output is an object of JSON: "rows" is how many rows the answer has,
and "wrong" says what differs, if something does. Rows are compared as they are, however many
times they are there and in whatever order. Of rows that replace each other the last one of every
key counts, of whole results the last.
"""

import argparse
import glob
import json
import os

import duckdb

EXAMPLES_MAX = 3


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, help="script that declares the tables")
    parser.add_argument("--query", required=True, help="script of the query")
    parser.add_argument("--files", required=True, help="folder of what the tables read")
    parser.add_argument("--scratch", required=True, help="folder for the database")
    parser.add_argument("--rows", help="folder with rows, to be compared")
    parser.add_argument("--changes", help="file with changed rows, to be compared")
    parser.add_argument("--results", help="file with whole results, to be compared")
    parser.add_argument("--key", help="columns that say which row has changed")
    return parser.parse_args()


def read(path):
    with open(path) as script:
        return script.read()


def columns(db, names_left_out=()):
    described = db.execute("DESCRIBE expected").fetchall()
    return {name: kind for name, kind, *_ in described if name not in names_left_out}


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def struct(types):
    return "{" + ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in types.items()) + "}"


def load_rows(db, folder):
    """Makes the table "given" of files, whose folders may name columns, as in day=2026-01-01."""
    files = glob.glob(os.path.join(folder, "**", "*.jsonl"), recursive=True)
    if not files:
        db.execute("CREATE TABLE given AS SELECT * FROM expected LIMIT 0")
        return
    parts = os.path.relpath(files[0], folder).split(os.sep)[:-1]
    in_folders = [part.split("=")[0] for part in parts]
    types = struct(columns(db, in_folders))
    names = ", ".join(columns(db))
    hive = "hive_partitioning = true, hive_types_autocast = false, " if in_folders else ""
    paths = "[" + ", ".join(quoted(file) for file in files) + "]"
    db.execute(
        f"CREATE TABLE given AS SELECT {names} FROM read_json({paths}, {hive}"
        f"format = 'newline_delimited', columns = {types})"
    )


def load_printed(db, file):
    """Makes the table "printed" of lines that have an epoch, what was done, and a row."""
    fields = ", ".join(f'"{name}" {kind}' for name, kind in columns(db).items())
    types = struct({"epoch": "BIGINT", "op": "VARCHAR", "row": f"STRUCT({fields})"})
    db.execute(
        f"CREATE TABLE printed AS SELECT epoch, op, unnest(\"row\") FROM read_json({quoted(file)}, "
        f"format = 'newline_delimited', columns = {types})"
    )


def load_results(db, file):
    """Makes the table "given" of the last of whole results."""
    load_printed(db, file)
    db.execute(
        f"CREATE TABLE given AS SELECT {', '.join(columns(db))} FROM printed "
        "WHERE epoch = (SELECT max(epoch) FROM printed)"
    )


def load_changes(db, file, key):
    """Makes the table "given" of the last row of every key."""
    load_printed(db, file)
    twice = db.execute(
        f"SELECT epoch, {key}, count(*) FROM printed GROUP BY ALL HAVING count(*) > 1 LIMIT 1"
    ).fetchone()
    if twice:
        return f"epoch {twice[0]} has {twice[-1]} rows of the key {twice[1:-1]}"
    db.execute(
        f"CREATE TABLE given AS SELECT {', '.join(columns(db))} FROM ("
        f"SELECT * FROM printed QUALIFY row_number() OVER (PARTITION BY {key} "
        f"ORDER BY epoch DESC) = 1) WHERE op <> '-D'"
    )
    return None


def difference(db):
    texts = []
    for lead, left, right in [
        ("rows are missing", "expected", "given"),
        ("rows are too many", "given", "expected"),
    ]:
        rows = f"(SELECT * FROM {left} EXCEPT ALL SELECT * FROM {right})"
        (count,) = db.execute(f"SELECT count(*) FROM {rows}").fetchone()
        if count:
            examples = db.execute(f"SELECT * FROM {rows} ORDER BY ALL LIMIT {EXAMPLES_MAX}")
            shown = "; ".join(str(tuple(map(str, row))) for row in examples.fetchall())
            texts.append(f"{lead}: {count}, such as {shown}")
    return "; ".join(texts) or None


def main():
    asked = arguments()
    db = duckdb.connect(os.path.join(asked.scratch, "answer.duckdb"))
    db.execute(read(asked.tables).replace("${FILES}", asked.files))
    db.execute("CREATE TABLE expected AS " + read(asked.query))
    (rows,) = db.execute("SELECT count(*) FROM expected").fetchone()
    wrong = None
    if asked.rows:
        load_rows(db, asked.rows)
        wrong = difference(db)
    if asked.results:
        load_results(db, asked.results)
        wrong = difference(db)
    if asked.changes:
        wrong = load_changes(db, asked.changes, asked.key) or difference(db)
    print(json.dumps({"rows": rows, "wrong": wrong}))


if __name__ == "__main__":
    main()
