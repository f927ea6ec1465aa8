//! The image: Buildah builds it from the recipe, an installed program and the base system of this machine's
//! release. Its program runs for a user without rights, on a system without files of the machine where the
//! program was built.

use super::{prefix, recipes};
use crate::support::{Job, expect, repo, stderr, stdout, tools};
use serde_json::Value;
use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

const USER: u32 = 65532;
const BASE: &str = "localhost/base";
const IMAGE: &str = "localhost/capfilt";

/// Containers and images of one test.
struct Store(tempfile::TempDir);

impl Store {
    fn new() -> Self {
        let store = Self(tempfile::tempdir().unwrap());
        let archive = repo().join(".container-base.tar").canonicalize().unwrap();
        let recipe = store.0.path().join("Containerfile");
        let name = archive.file_name().unwrap().display();
        fs::write(&recipe, format!("FROM scratch\nADD {name} /\n")).unwrap();
        expect(store.build(BASE).arg("-f").arg(recipe).arg(archive.parent().unwrap()), 0);
        store
    }

    fn buildah(&self, arguments: &[&str]) -> Command {
        let mut buildah = Command::new("buildah");
        buildah.arg("--root").arg(self.0.path().join("root")).arg("--runroot").arg(self.0.path().join("run"));
        buildah.args(arguments);
        buildah
    }

    /// Build without a daemon, and without namespaces that a container of the tests may not have.
    fn build(&self, image: &str) -> Command {
        self.buildah(&["build", "--quiet", "--isolation", "chroot", "--layers=false", "-t", image])
    }

    /// Build of the recipe's variant with an installed program, from a folder with `opt/capfilt`.
    fn build_installed(&self, image: &str, context: &Path) -> Command {
        let mut build = self.build(image);
        build.args(["--target", "installed", "--build-arg", &format!("BASE={BASE}"), "-f"]);
        build.arg(recipes().join("container/Containerfile")).arg(context);
        build
    }

    fn inspect(&self, image: &str) -> Value {
        let said = stdout(&expect(&mut self.buildah(&["inspect", "--type", "image", image]), 0));
        serde_json::from_str(&said).unwrap()
    }

    /// The program of a container, with this folder at its path and the repository's test data at theirs.
    fn run(&self, container: &str, folder: &Path, entry: &str) -> Command {
        let data = repo().join("tests/data");
        let mut run = self.buildah(&["run", "--isolation", "chroot"]);
        run.arg("-v").arg(format!("{0}:{0}", folder.display()));
        run.arg("-v").arg(format!("{0}:{0}:ro", data.display())).args([container, "--", entry]);
        run
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        for all in [["rm", "--all"], ["rmi", "--all"]] {
            let _ = self.buildah(&all).arg("--force").output();
        }
        let _ = Command::new("umount").arg(self.0.path().join("root/overlay")).output();
    }
}

fn may_mount() -> bool {
    let unshare = Command::new("unshare").args(["--mount", "true"]).output();
    unshare.is_ok_and(|output| output.status.success()) || tools::skip(&tools::MOUNT)
}

#[test]
fn an_image_of_the_recipe_cleans_pairs_for_a_user_without_rights() {
    if !tools::need(&tools::BUILDAH) || !may_mount() {
        return;
    }
    let store = Store::new();
    let context = prefix().parent().unwrap().parent().unwrap();
    expect(&mut store.build_installed(IMAGE, context), 0);
    let image = store.inspect(IMAGE);
    let config = &image["OCIv1"]["config"];
    assert_eq!(config["User"], format!("{USER}:{USER}"));
    let version = &config["Labels"]["org.opencontainers.image.version"];
    assert_eq!(version, env!("CARGO_PKG_VERSION"), "the label of the recipe");
    println!("{}", stdout(&expect(&mut store.buildah(&["images"]), 0)));

    let job = Job::over_one_file();
    std::os::unix::fs::chown(job.folder.path(), Some(USER), Some(USER)).unwrap();
    let container = stdout(&expect(&mut store.buildah(&["from", IMAGE]), 0));
    let entry = config["Entrypoint"][0].as_str().unwrap();
    let mut run = store.run(container.trim(), job.folder.path(), entry);
    expect(run.args(["run", "-c"]).arg(job.config()), 0);
    let verified = job.verify(0);
    assert_eq!((&verified["rows"], &verified["ok"]), (&800.into(), &true.into()), "{verified}");
    assert_eq!(fs::metadata(job.objects.join("job.json")).unwrap().uid(), USER);
}

/// Program that needs a function of a C library that does not exist yet, installed below `folder`.
fn install_program_of_a_newer_system(folder: &Path) {
    let bin = folder.join("opt/capfilt/bin");
    fs::create_dir_all(&bin).unwrap();
    let at = |name: &str| folder.join(name);
    fs::write(at("library.c"), "int from_the_future(void) { return 0; }\n").unwrap();
    fs::write(at("versions"), "GLIBC_2.99 { global: from_the_future; local: *; };\n").unwrap();
    fs::write(at("program.c"), "int from_the_future(void);\nint main(void) { return from_the_future(); }\n")
        .unwrap();
    let script = format!("-Wl,--version-script={}", at("versions").display());
    let mut library = Command::new("cc");
    library.args(["-shared", "-Wl,-soname,libm.so.6", &script, "-o"]).arg(at("libnew.so"));
    expect(library.arg(at("library.c")), 0);
    let mut program = Command::new("cc");
    expect(program.arg("-o").arg(bin.join("capfilt")).arg(at("program.c")).arg(at("libnew.so")), 0);
}

#[test]
fn a_base_older_than_the_builder_of_the_program_is_refused_with_the_argument_to_give() {
    if !tools::need(&tools::BUILDAH) || !may_mount() {
        return;
    }
    let store = Store::new();
    let context = tempfile::tempdir().unwrap();
    install_program_of_a_newer_system(context.path());
    let output = store.build_installed(IMAGE, context.path()).output().unwrap();
    let said = stderr(&output) + &stdout(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("GLIBC_2.99") && said.contains("--build-arg BASE="), "{said}");
}
