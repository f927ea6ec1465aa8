//! `capfilt demo`: pictures whose captions are known to be true or false.

use crate::{
    args::{DemoArgs, DemoKind},
    exit::{Blame as _, Ending, Exit},
    say,
};
use anyhow::Context as _;
use capfilt_world::{
    files::{Order, Pairs, make},
    vocabulary,
};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

pub fn run(args: &DemoArgs) -> Ending {
    if let Some(folder) = &args.make_vocabulary {
        return make_vocabulary(folder);
    }
    let Some(folder) = &args.make_data else {
        return Ok(Exit::Done);
    };
    let source = if args.kind == DemoKind::Human { Pairs::Human } else { Pairs::Web };
    let (scenes, captions, side) = (args.scenes, args.captions_per_scene, usize::from(args.side.max(16)));
    let order = Order { scenes, captions, side, seed: args.seed, source };
    let mut last = Instant::now();
    let counts = make(folder, &order, |rows| {
        if last.elapsed() > Duration::from_secs(2) {
            last = Instant::now();
            say::line(format!("{rows}/{} pairs", scenes * captions));
        }
    });
    let counts = counts.environment()?;
    let kinds: Vec<String> = counts.iter().map(|(kind, n)| format!("{n} {}", kind.name())).collect();
    println!("{} pairs in {}: {}", counts.values().sum::<u64>(), folder.display(), kinds.join(", "));
    Ok(Exit::Done)
}

fn make_vocabulary(folder: &Path) -> Ending {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display())).environment()?;
    for (name, text) in vocabulary::files() {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display())).environment()?;
    }
    println!("{} pieces in {}", vocabulary::pieces().len(), folder.display());
    Ok(Exit::Done)
}
