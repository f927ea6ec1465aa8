"""Write tars for tests/tars.rs: usual ones by webdataset's ShardWriter, and hostile ones.

usage: tars.py write TABLE OUT ROWS      rows of a Parquet file as OUT/NNNNN.tar of ROWS samples each
       tars.py samples TAR...            samples as webdataset reads them: [[key, [suffix, ...]], ...]
       tars.py linked FROM OUT IMAGES URL  the tars of a folder without their images, which go into a folder;
                                         `.json` has the link URL/<key>.jpg and the image's sha256
       tars.py hostile TABLE OUT         hostile tars; prints the expected rows of each as JSON
"""

import gzip
import hashlib
import io
import json
import pathlib
import random
import sys
import tarfile

import pyarrow.parquet as pq

SEED = 20_261_130
BLOCK = 512


def rows_of(table):
    return pq.read_table(table).to_pylist()


def write(table, out, rows_per_tar):
    from webdataset import ShardWriter

    pathlib.Path(out).mkdir(parents=True)
    with ShardWriter(f"{out}/%05d.tar", maxcount=int(rows_per_tar), verbose=0) as sink:
        for row in rows_of(table):
            image = {"jpg": row["jpg"]} if row["jpg"] is not None else {}
            texts = {"txt": row["caption"]} if row["caption"] is not None else {}
            metadata = {name: value for name, value in row.items() if name != "jpg"}
            sink.write({"__key__": row["key"], **image, **texts, "json": metadata})


def samples(*tars):
    from webdataset.tariterators import group_by_keys, tar_file_expander

    streams = ({"url": tar, "stream": open(tar, "rb")} for tar in tars)
    found = group_by_keys(tar_file_expander(streams))
    show = [[one["__key__"], sorted(name for name in one if not name.startswith("__"))] for one in found]
    print(json.dumps(show))


def linked(source, out, images, url):
    out, images = pathlib.Path(out), pathlib.Path(images)
    out.mkdir()
    images.mkdir()
    for path in sorted(pathlib.Path(source).glob("*.tar")):
        with tarfile.open(path) as tar, tarfile.open(out / path.name, "w") as to:
            members = {member.name: tar.extractfile(member).read() for member in tar}
            for name, data in members.items():
                key, suffix = name.split(".", 1)
                if suffix == "jpg":
                    (images / name).write_bytes(data)
                    continue
                if suffix == "json":
                    digest = hashlib.sha256(members[f"{key}.jpg"]).hexdigest()
                    data = json.dumps(
                        {**json.loads(data), "link": f"{url}/{key}.jpg", "sha256": digest}
                    ).encode()
                info = tarfile.TarInfo(name)
                info.size = len(data)
                to.addfile(info, io.BytesIO(data))


class Tar:
    """A tar that is built entry by entry, with any header."""

    def __init__(self, form=tarfile.GNU_FORMAT):
        self.form, self.out = form, io.BytesIO()

    def file(self, name, data=b"", kind=tarfile.REGTYPE, **fields):
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, len(data)
        for field, value in fields.items():
            setattr(info, field, value)
        self.out.write(info.tobuf(self.form, "utf-8", "surrogateescape"))
        self.raw(data)
        return self

    def raw(self, data):
        self.out.write(data + bytes(-len(data) % BLOCK))
        return self

    def here(self):
        return self.out.tell()

    def end(self):
        return self.out.getvalue() + bytes(2 * BLOCK)


def summed(header):
    """The header with its checksum."""
    header = bytearray(header)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def header_of(name, size, kind=b"0"):
    info = tarfile.TarInfo(name)
    info.size = size
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[156:157] = kind
    return header


class Hostile:
    def __init__(self, table, out):
        self.images = [row["jpg"] for row in rows_of(table)[:40]]
        self.random = random.Random(SEED)
        self.out = pathlib.Path(out)
        self.out.mkdir(parents=True)
        self.expected = {}

    def put(self, name, data, expected):
        """Write a tar; `expected` is "refused", or a pair of key and status for each row."""
        (self.out / name).write_bytes(data)
        self.expected[name] = expected

    def sample(self, tar, key, image=True, text=True):
        if image:
            tar.file(f"{key}.jpg", self.random.choice(self.images))
        if text:
            tar.file(f"{key}.txt", b"a red circle above a blue square")
        return tar

    def whole(self, *keys, form=tarfile.GNU_FORMAT):
        tar = Tar(form)
        for key in keys:
            self.sample(tar, key)
        return tar

    def torn(self):
        tar = self.whole("a")
        start = tar.here()
        two = self.sample(tar, "b").end()
        damage = [None, "image_unreadable"]
        self.put(
            "torn-in-image.tar", two[: start + 700], [["a", "judged"], ["b", "image_unreadable"], damage]
        )
        self.put("torn-in-header.tar", two[: start + 100], [["a", "judged"], damage])
        one = self.whole("a").end()
        text = one.rindex(b"a red circle")
        self.put("torn-in-text.tar", one[: text + 5], [["a", "judged"], damage])
        self.put("torn-in-padding.tar", one[: text + 60], [["a", "judged"]])
        self.put("without-end.tar", one[: -2 * BLOCK], [["a", "judged"]])
        self.put("with-more-behind-the-end.tar", one + self.random.randbytes(5000), [["a", "judged"]])
        self.put("two-tars.tar", one + self.whole("b").end(), [["a", "judged"]])

    def not_tars(self):
        self.put("empty.tar", b"", "refused")
        self.put("noise.tar", self.random.randbytes(100_000), "refused")
        self.put("page.tar", b"<!DOCTYPE html><title>404</title>" * 200, "refused")
        self.put("short.tar", b"tar", "refused")
        self.put("nothing.tar", bytes(10 * BLOCK), [])
        self.put("page.tar.gz", b"<!DOCTYPE html>" * 200, "refused")
        self.put("noise.tar.gz", gzip.compress(self.random.randbytes(100_000), mtime=0), "refused")

    def headers(self):
        tar = self.whole("a")
        at, judged, damage = tar.here(), ["a", "judged"], [None, "image_unreadable"]
        wrong = bytearray(self.sample(tar, "b").end())
        start = bytes(wrong[:at])
        wrong[at] ^= 1
        self.put("wrong-checksum.tar", bytes(wrong), [judged, damage])
        sizes = {
            "octal": b"9zz9zz9zz9z\0",
            "negative": b"\xff" * 12,
            "endless": b"\x80" + b"\xff" * 11,
        }
        for name, size in sizes.items():
            header = header_of("b.jpg", 0)
            header[124:136] = size
            self.put(f"size-{name}.tar", start + summed(header) + bytes(4 * BLOCK), [judged, damage])
        vast = start + summed(header_of("b.jpg", 8_000_000_000)) + bytes(4 * BLOCK)
        self.put("size-beyond-the-file.tar", vast, [judged, ["b", "image_too_large"], damage])
        pax = header_of("pax", 3 << 20, b"x")
        self.put("vast-pax.tar", start + summed(pax) + bytes(4 << 20), [judged, damage])
        lie = b"28 size=9000000000000000000\n"
        lying = start + summed(header_of("pax", len(lie), b"x")) + lie + bytes(-len(lie) % BLOCK)
        lying += self.whole("b").end()
        self.put("pax-size-lies.tar", lying, [judged, ["b", "image_too_large"], damage])
        crooked = start + summed(header_of("pax", 20, b"x")) + b"99999 path=x\n" + bytes(BLOCK - 13)
        self.put("pax-malformed.tar", crooked + self.whole("b").end(), [judged, damage])
        long = start + summed(header_of("././@LongLink", 8 << 20, b"L")) + bytes(9 << 20)
        self.put("vast-long-name.tar", long, [judged, damage])

    def doubled(self):
        tar = self.sample(Tar(), "a")
        tar.file("a.jpg", self.images[0]).file("a.txt", b"another text")
        self.put(
            "doubled-members.tar", self.sample(tar, "b").end(), [["a", "image_unreadable"], ["b", "judged"]]
        )
        tar = self.sample(Tar(), "a").file("a.TXT", b"another text")
        self.put("doubled-text.tar", tar.end(), [["a", "judged"]])
        judged = [[key, "judged"] for key in "aba"]
        self.put("key-comes-back.tar", self.whole("a", "b", "a").end(), judged)
        tar = self.sample(Tar(), "a")
        for number in range(3000):
            tar.file(f"a.{number}.txt", b"x")
        self.put(
            "three-thousand-members.tar", self.sample(tar, "b").end(), [["a", "judged"], ["b", "judged"]]
        )

    def incomplete(self):
        tar = self.sample(Tar(), "a", image=False)
        self.sample(tar, "b", text=False)
        tar.file("c.json", b"{}")
        tar.file("d.jpg", b"").file("e.jpg", b"not a picture")
        expected = [["a", "image_missing"], ["b", "judged"], ["c", "image_missing"], ["d", "image_missing"]]
        self.put("incomplete.tar", tar.end(), [*expected, ["e", "image_unsupported"]])
        tar = self.sample(Tar(), "a").file("b.jpg", bytes(3_000_000))
        self.put(
            "large-image.tar",
            self.sample(tar, "c").end(),
            [["a", "judged"], ["b", "image_too_large"], ["c", "judged"]],
        )

    def others(self):
        tar = Tar()
        tar.file("__meta__", b"x").file("README", b"x").file("folder/", kind=tarfile.DIRTYPE)
        tar.file("a.jpg", self.images[0]).file("LICENSE", b"x").file("a.txt", b"a red circle")
        tar.file("__b__/c.jpg", b"x").file(".hidden", b"x")
        tar.file("fifo.jpg", kind=tarfile.FIFOTYPE).file("device.jpg", kind=tarfile.CHRTYPE)
        self.put("files-between.tar", self.sample(tar, "b").end(), [["a", "judged"], ["b", "judged"]])
        tar = Tar().file("README", b"x").file("folder/x", b"x").file(".jpg", b"x")
        self.put("only-other-files.tar", tar.end(), [])
        tar = self.sample(Tar(), "a")
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            tar.file(f"{kind.decode()}.jpg", kind=kind, linkname="/etc/passwd")
            tar.file(f"{kind.decode()}.txt", b"a link")
        self.put("links.tar", tar.end(), [["a", "judged"], ["2", "image_missing"], ["1", "image_missing"]])
        inner = self.whole("x", "y").end()
        tar = self.sample(Tar(), "a").file("b.tar", inner)
        self.put("tar-in-tar.tar", tar.end(), [["a", "judged"], ["b", "image_missing"]])

    def names(self):
        long = "/".join(["folder" * 12] * 12) + "/a"
        for form, name in ((tarfile.GNU_FORMAT, "gnu"), (tarfile.PAX_FORMAT, "pax")):
            self.put(
                f"long-names-{name}.tar",
                self.whole(long, "b", form=form).end(),
                [[long, "judged"], ["b", "judged"]],
            )
        self.put("unicode-pax.tar", self.whole("犬-é", form=tarfile.PAX_FORMAT).end(), [["犬-é", "judged"]])
        odd = ["../../etc/passwd", "/etc/shadow", "./a", "a b\tc"]
        self.put("odd-names.tar", self.whole(*odd).end(), [[key, "judged"] for key in odd])
        tar = Tar().file(b"\xff\xfe.jpg".decode("utf-8", "surrogateescape"), self.images[0])
        self.put("not-utf8.tar", self.sample(tar, "b").end(), [[None, "judged"], ["b", "judged"]])
        self.put(
            "upper-case.tar",
            Tar().file("a.JPG", self.images[0]).file("a.Txt", b"a circle").end(),
            [["a", "judged"]],
        )
        old = bytearray(header_of("a.jpg", len(self.images[0])))
        old[257:] = bytes(BLOCK - 257)
        old = summed(old) + self.images[0] + bytes(-len(self.images[0]) % BLOCK) + bytes(2 * BLOCK)
        self.put("version-7.tar", old, [["a", "judged"]])
        tar = Tar(tarfile.PAX_FORMAT)
        tar.out.write(tarfile.TarInfo.create_pax_global_header({"comment": "x" * 600}))
        self.put("global-pax.tar", self.sample(tar, "a").end(), [["a", "judged"]])

    def sparse(self):
        at = bytearray(header_of("a.jpg", BLOCK, b"S"))
        at[482] = 1
        data = summed(at) + bytes(504) + b"\1" + bytes(7) + bytes(BLOCK) + bytes(BLOCK)
        self.put("sparse-gnu.tar", data + self.whole("b").end(), [["a", "image_unreadable"], ["b", "judged"]])
        tar = Tar(tarfile.PAX_FORMAT)
        fields = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a.jpg"}
        tar.file(
            "GNUSparseFile.0/a.jpg", b"1\n0\n4\nabcd", pax_headers={**fields, "GNU.sparse.realsize": "9"}
        )
        self.put("sparse-pax.tar", self.sample(tar, "b").end(), [["a", "image_unreadable"], ["b", "judged"]])

    def objects(self):
        tar = Tar()
        bodies = {"a": b"not json", "b": b"[" * 100_000, "c": b"[1]", "d": b'{"caption": "a red circle"}'}
        bodies["e"] = b'{"caption": "' + b"x" * 5_000_000 + b'"}'
        bodies["f"] = b'{"caption": {"nested": [1, 2]}}'
        bodies["g"] = b'{"caption": "\xff"}'
        for key, body in bodies.items():
            tar.file(f"{key}.jpg", self.images[0]).file(f"{key}.json", body)
        self.put("objects.tar", tar.end(), [[key, "judged"] for key in bodies])
        tar = Tar().file("a.jpg", self.images[0]).file("a.txt", b"\xff\xfe not UTF-8")
        tar.file("b.jpg", self.images[0]).file("b.txt", "é".encode() * 3_000_000)
        self.put("texts.tar", tar.end(), [["a", "judged"], ["b", "judged"]])

    def compressed(self):
        two = self.whole("a", "b").end()
        packed = gzip.compress(two, mtime=0)
        self.put("whole.tar.gz", packed, [["a", "judged"], ["b", "judged"]])
        self.put("whole.tgz", packed, [["a", "judged"], ["b", "judged"]])
        bomb = self.sample(Tar(), "a").file("a.bin", bytes(300_000_000))
        self.put(
            "bomb.tar.gz",
            gzip.compress(self.sample(bomb, "b").end(), 1, mtime=0),
            [["a", "judged"], ["b", "judged"]],
        )
        image_bomb = self.sample(Tar(), "a").file("b.jpg", bytes(300_000_000))
        self.put(
            "image-bomb.tar.gz",
            gzip.compress(image_bomb.end(), 1, mtime=0),
            [["a", "judged"], ["b", "image_too_large"]],
        )
        at = gzip.compress(self.whole("a").end(), mtime=0)
        self.put("torn.tar.gz", at[: len(at) - 300], None)


def hostile(table, out):
    made = Hostile(table, out)
    for make in (
        "torn",
        "not_tars",
        "headers",
        "doubled",
        "incomplete",
        "others",
        "names",
        "sparse",
        "objects",
        "compressed",
    ):
        getattr(made, make)()
    print(json.dumps(made.expected))


if __name__ == "__main__":
    {"write": write, "samples": samples, "linked": linked, "hostile": hostile}[sys.argv[1]](*sys.argv[2:])
