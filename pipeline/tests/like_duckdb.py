#!/usr/bin/env python3
"""Conditions on columns of every type, and the rows that DuckDB selects with them.

usage: like_duckdb.py FOLDER SEED COUNT

Writes FOLDER/a.parquet and FOLDER/int96.parquet and prints
{"file": {"condition": [numbers of the rows]}, "refused": n}. The literals are values of the columns,
neighbours of these values, and equal values in another notation.
"""

import datetime
import decimal
import json
import pathlib
import random
import string
import sys

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 240
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1)


def integers(draw, low, high):
    near = [low, high, 0, 1, -1, 5, 2**24, 2**24 + 1, 2**53, 2**53 + 1, 2**53 - 1, -(2**53) - 1, 10**15]
    near = [n for n in near if low <= n <= high]
    return lambda: draw.choice(near) if draw.random() < 0.6 else draw.randint(low, high)


def floats(draw, kind):
    special = [
        0.0,
        -0.0,
        float("nan"),
        float("inf"),
        -float("inf"),
        1.0,
        -1.0,
        0.5,
        0.1,
        0.25,
        1.5,
        3.0,
        100.0,
    ]

    def value():
        return draw.choice(special) if draw.random() < 0.7 else draw.uniform(-10, 10)

    return lambda: float(kind(value()))


def decimals(draw, digits, scale):
    context = decimal.Context(prec=60)
    return lambda: decimal.Decimal(
        draw.choice([0, 1, -1, 15, 150, -125, draw.randint(-(10**digits) + 1, 10**digits - 1)])
    ).scaleb(-scale, context)


def texts(draw):
    words = ["", "a", "A", "b", "ab", "a b", "é", "e\u0301", "z", "\U0001f436", "it's", "ÿ", "a\0b", "Z"]
    return lambda: draw.choice(words)


def moments(draw, step):
    """Microseconds since 1970, a multiple of `step`."""
    near = [0, 1, -1, 10**15, 1_704_067_200_123_456, 1_704_067_200_123_000, -(10**15) - 1]
    return lambda: (
        (draw.choice(near) if draw.random() < 0.7 else draw.randint(-(10**16), 10**16)) // step * step
    )


def columns(draw):
    """{name: (Arrow type, values)}."""

    def at(microseconds):
        return EPOCH + datetime.timedelta(microseconds=microseconds)

    kinds = {
        f"i{bits}": (getattr(pa, f"int{bits}")(), integers(draw, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
        for bits in (8, 16, 32, 64)
    }
    kinds |= {
        f"u{bits}": (getattr(pa, f"uint{bits}")(), integers(draw, 0, 2**bits - 1)) for bits in (8, 16, 32, 64)
    }
    kinds |= {
        f"f{bits}": (getattr(pa, f"float{bits}")(), floats(draw, getattr(np, f"float{bits}")))
        for bits in (16, 32, 64)
    }
    kinds |= {
        f"d{digits}": (pa.decimal128(digits, scale), decimals(draw, digits, scale))
        for digits, scale in ((4, 1), (9, 2), (18, 4), (38, 10), (20, 0))
    }
    kinds |= {
        "flag": (pa.bool_(), lambda: draw.random() < 0.5),
        "text": (pa.string(), texts(draw)),
        "raw": (pa.binary(), lambda: draw.choice([b"", b"a", b"\xff", b"\x00", b"ab", b"a\xc3\xa9"])),
        "day": (
            pa.date32(),
            lambda: (
                EPOCH.date()
                + datetime.timedelta(
                    days=draw.choice([0, 1, -1, 19_723, -719_162, draw.randint(-9999, 99999)])
                )
            ),
        ),
        "nothing": (pa.null(), lambda: None),
        "ms": (pa.timestamp("ms"), lambda f=moments(draw, 1000): at(f())),
        "us": (pa.timestamp("us"), lambda f=moments(draw, 1): at(f())),
        "ms_utc": (
            pa.timestamp("ms", tz="Asia/Tokyo"),
            lambda f=moments(draw, 1000): at(f()).replace(tzinfo=UTC),
        ),
        "us_utc": (pa.timestamp("us", tz="UTC"), lambda f=moments(draw, 1): at(f()).replace(tzinfo=UTC)),
        "clock_ms": (pa.time32("ms"), lambda f=moments(draw, 1000): at(f()).time()),
        "clock_us": (pa.time64("us"), lambda f=moments(draw, 1): at(f()).time()),
    }
    made = {}
    for name, (kind, value) in kinds.items():
        made[name] = (kind, [None if draw.random() < 0.15 else value() for _ in range(ROWS)])

    # Python has no nanoseconds: these are numbers, cast.
    def within(n):
        return max(-9 * 10**15, min(9 * 10**15, n))

    def nanoseconds(f):
        return [
            None if draw.random() < 0.15 else within(f()) * 1000 + draw.choice([0, 1, 789])
            for _ in range(ROWS)
        ]

    for name, zone in (("ns", None), ("ns_utc", "UTC")):
        made[name] = (pa.timestamp("ns", tz=zone), nanoseconds(moments(draw, 1)))
    made["clock_ns"] = (
        pa.time64("ns"),
        [None if n is None else n % 86_400_000_000_000 for n in nanoseconds(moments(draw, 1))],
    )
    return made


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def number(draw, value):
    """A numeral of a value, of one beside it, or of another form."""
    value = decimal.Decimal(value)
    shift = draw.choice([0, 0, 0, 1, -1, "0.5", "-0.001"])
    with decimal.localcontext(decimal.Context(prec=60)):
        value += decimal.Decimal(shift)
    plain = format(value, "f")
    if draw.random() < 0.2:
        return f"{float(value)!r}e0" if "e" not in repr(float(value)) else repr(float(value))
    return plain + ".00" if draw.random() < 0.1 and "." not in plain else plain


def moment(draw, microseconds, rest="", zoned=False):
    text = (EPOCH + datetime.timedelta(microseconds=microseconds)).isoformat(sep=draw.choice("T "))
    if draw.random() < 0.3:
        text = text[:10]
    elif "." in text:
        text += rest
    if len(text) > 10 and draw.random() < (0.5 if zoned else 0.1):
        text += draw.choice(["Z", "+00", "+09:00", "-04:30"])
    return quoted(text)


def literal(draw, kind, value):
    if pa.types.is_null(kind):
        return draw.choice(["5", "0.5", "'a'", "true"])
    if pa.types.is_floating(kind):
        if value != value or value in (float("inf"), -float("inf")):
            return quoted(draw.choice(["nan", "inf", "-inf"]))
        return draw.choice(
            [
                number(draw, round(value, 3)),
                repr(value) if "e" not in repr(value) else "0",
                f"{value!r}e0" if "e" not in repr(value) else repr(value),
            ]
        )
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return number(draw, value)
    if pa.types.is_boolean(kind):
        return draw.choice(["true", "FALSE"])
    if pa.types.is_string(kind):
        return quoted(value + draw.choice(["", "", "a"]))
    if pa.types.is_binary(kind):
        return quoted("".join(chr(c) if chr(c) in string.ascii_letters else f"\\x{c:02X}" for c in value))
    if pa.types.is_date(kind):
        return (
            quoted((value + datetime.timedelta(days=draw.choice([0, 0, 1, -1]))).isoformat())
            if 2 < value.year < 9998
            else "'2024-02-29'"
        )
    if pa.types.is_time(kind):

        def seconds():
            return (EPOCH + datetime.timedelta(seconds=value // 10**9)).time().isoformat()

        text = value.isoformat() if isinstance(value, datetime.time) else f"{seconds()}.{value % 10**9:09}"
        return quoted(text if draw.random() < 0.7 else text[:5])
    zoned = kind.tz is not None
    if isinstance(value, int):
        return moment(draw, value // 1000, f"{value % 1000:03}", zoned)
    return moment(
        draw,
        (value.replace(tzinfo=None) - EPOCH) // datetime.timedelta(microseconds=1),
        draw.choice(["", "9", "001"]),
        zoned,
    )


def condition(draw, made, depth=0):
    if depth < 3 and draw.random() < 0.5:
        parts = [condition(draw, made, depth + 1) for _ in range(draw.choice([1, 2, 2, 3]))]
        joined = f" {draw.choice(['and', 'or'])} ".join(parts)
        return f"not ({joined})" if draw.random() < 0.4 else f"({joined})"
    name = draw.choice(list(made))
    kind, values = made[name]
    if draw.random() < 0.12:
        return f"{name} is {draw.choice(['', 'not '])}null"
    known = [value for value in values if value is not None] or [None]
    operator = draw.choice(["=", "!=", "<>", "<", "<=", ">", ">="])
    return f"{name} {operator} {literal(draw, kind, draw.choice(known))}"


def selected(connection, path, where):
    rows = connection.execute(
        f"select row from (select *, row_number() over () - 1 as row from read_parquet('{path}'))"
        f" where {where} order by row"
    ).fetchall()
    return [row for (row,) in rows]


def main(folder, seed, count):
    draw = random.Random(seed)
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    made = columns(draw)
    int96 = {"us": made["us"]}
    jpg = pa.array([b"x"] * ROWS)
    tables = {
        name: pa.table(
            {"jpg": jpg, **{column: pa.array(values, kind) for column, (kind, values) in of.items()}}
        )
        for name, of in (("a", made), ("int96", int96))
    }
    pq.write_table(tables["a"], folder / "a.parquet", row_group_size=100)
    pq.write_table(tables["int96"], folder / "int96.parquet", use_deprecated_int96_timestamps=True)
    found, refused = {}, 0
    for name, of, share in (("a", made, count), ("int96", int96, count // 20)):
        found[name] = {}
        for _ in range(share):
            where = condition(draw, of)
            try:
                found[name][where] = selected(connection, folder / f"{name}.parquet", where)
            except duckdb.Error:  # it converts some pairs of values to a type that does not hold them
                refused += 1
    print(json.dumps({"found": found, "refused": refused}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
