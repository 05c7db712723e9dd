//! The binary for where processor time counts: built once to count which paths a cluster at work takes,
//! and once more for those.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::process::{self, cargo_command, root};

/// What a cluster does while it is counted.
const WORK: [&str; 8] = [
    "bench",
    "--local",
    "--clients",
    "1,16,64,256",
    "--duration",
    "8s",
    "--warmup",
    "1s",
];

/// Builds the binary and says where it is.
pub(crate) fn run() -> anyhow::Result<()> {
    let [binary] = build([TRIUMVIR])?;
    println!("{}", binary.display());
    Ok(())
}

/// A binary, behind its package.
pub(crate) type Program = (&'static str, &'static str);

pub(crate) const TRIUMVIR: Program = ("triumvir-cli", "triumvir");

/// Builds `programs`, led by a profile that is as new as the sources, and says where they are.
pub(crate) fn build<const N: usize>(programs: [Program; N]) -> anyhow::Result<[PathBuf; N]> {
    let compiler = Compiler::installed()?;
    let folder = root().join("target/pgo");
    let profile = folder.join("cluster.profdata");
    let optimised = folder.join("optimised");

    let counts = folder.join("counts");
    let flags = [format!("-Cprofile-generate={}", counts.display())];
    let [counting] = compiler.build(&folder.join("counting"), &flags, [TRIUMVIR])?;
    if !is_newer(&profile, &counting)? {
        // First, since cargo does not see that another profile stands in the same file.
        remove(&optimised)?;
        compiler.count(&counting, &counts, &profile)?;
    }
    let flags = [format!("-Cprofile-use={}", profile.display())];
    compiler.build(&optimised, &flags, programs)
}

/// The compiler, and the tool of its own version that reads what it counted.
struct Compiler {
    host: String,
    profdata: PathBuf,
}

impl Compiler {
    /// Installs the tool with rustup when it is not there.
    fn installed() -> anyhow::Result<Self> {
        let host = rustc(&["--print", "host-tuple"])?;
        let tools = Path::new(&rustc(&["--print", "sysroot"])?).join("lib/rustlib");
        let profdata = tools.join(&host).join("bin/llvm-profdata");
        if !profdata.exists() {
            let mut rustup = Command::new("rustup");
            process::run(rustup.args(["component", "add", "llvm-tools"])).context(
                "the component llvm-tools of this compiler is needed; \
                 `cargo build --profile dist` does without it, and without the profile",
            )?;
        }
        Ok(Self { host, profdata })
    }

    /// Builds with `flags` for the program alone: build scripts and macros are built without.
    fn build<const N: usize>(
        &self,
        target: &Path,
        flags: &[String],
        programs: [Program; N],
    ) -> anyhow::Result<[PathBuf; N]> {
        for (package, binary) in programs {
            let mut command = cargo_command();
            command.args(["build", "--profile", "dist", "--locked"]);
            command.args(["--package", package, "--bin", binary]);
            command.args(["--target", &self.host, "--target-dir"]);
            command.arg(target);
            process::run(command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")))?;
        }
        let folder = target.join(&self.host).join("dist");
        Ok(programs.map(|(_, binary)| folder.join(binary)))
    }

    /// Lets a cluster of `counting` work, and writes its counts to `profile`.
    fn count(&self, counting: &Path, counts: &Path, profile: &Path) -> anyhow::Result<()> {
        remove(counts)?;
        let mut work = Command::new(counting);
        work.args(WORK);
        process::run(work.env("LLVM_PROFILE_FILE", counts.join("%p.profraw")))?;
        let mut merge = Command::new(&self.profdata);
        merge.arg("merge").arg("--output").arg(profile).arg(counts);
        process::run(&mut merge)
    }
}

fn rustc(args: &[&str]) -> anyhow::Result<String> {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(compiler).args(args).output();
    let output = output.context("cannot start rustc")?;
    ensure!(output.status.success(), "rustc {args:?} failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Whether there is a `file` that was written after `other`.
fn is_newer(file: &Path, other: &Path) -> anyhow::Result<bool> {
    if !file.exists() {
        return Ok(false);
    }
    Ok(file.metadata()?.modified()? > other.metadata()?.modified()?)
}

/// Removes a folder, if there is one.
fn remove(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}
