//! Rules for the values of a job's settings that types cannot express.

use super::{
    Filter, Images, Input, LANGUAGES, LEAST_MEMORY, Limits, Memory, Settings, SettingsError, Workers,
    captioner_rules,
    rule::{self, Rule, is_share, rule},
};
use crate::{
    pairs,
    texts::{OptionalColumns, SYNTHETIC},
};

const PROBABILITY: &str = "a probability lies between 0 and 1";
/// Largest `limits.texts`: all texts of a row are judged together.
const MOST_TEXTS: u32 = 1000;
/// Largest `input.frames`: a clip of BLIP-base at 384 px has 1.8 MB of image states per frame in f32.
const MOST_FRAMES: u32 = 64;
const AT_LEAST_ONE: &str = "it must be at least 1";

/// Checks the settings of a job.
///
/// # Errors
/// The first key with an invalid value.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    rule::check(passthrough(&settings.input))?;
    rule::check(tars(settings))?;
    rule::check(texts(&settings.input))?;
    rule::check(clips(settings))?;
    rule::check(filter(&settings.filter))?;
    rule::check(thresholds(&settings.filter, &settings.input))?;
    rule::check(clip_thresholds(settings))?;
    captioner_rules::check(settings)?;
    rule::check(limits(&settings.limits))?;
    rule::check([rule(settings.shards.rows == 0, "shards.rows", 0, AT_LEAST_ONE)])?;
    rule::check(workers(&settings.workers))?;
    rule::check(settings.links.rules())?;
    super::stores::check(&settings.stores)
}

fn passthrough(input: &Input) -> impl Iterator<Item = Rule> + '_ {
    const KEY: &str = "input.passthrough";
    input.passthrough.iter().enumerate().flat_map(|(at, name)| {
        let is_own = pairs::schema(&[], OptionalColumns::default()).column_with_name(name).is_some();
        let is_twice = input.passthrough[..at].contains(name);
        [
            rule(is_own, KEY, name, "the pairs table has a column with that name already"),
            rule(is_twice, KEY, name, "it is named twice"),
        ]
    })
}

/// Rules for pairs in tars.
fn tars(settings: &Settings) -> impl Iterator<Item = Rule> + '_ {
    let is_tar = !settings.output.format.is_parquet();
    let refers = is_tar && settings.output.images == Images::Reference;
    // A trainer takes images from a tar, so a tar of texts alone has no reader that Parquet does not serve.
    let why = "a sample of a tar contains its image; set output.images = \"embed\", or output.format = \
               \"parquet\"";
    let names = settings.input.passthrough.iter().filter(move |_| is_tar).map(|name| {
        let is_own = pairs::SAMPLE_FIELDS.contains(&name.as_str());
        let why = "the .json of a sample has a field with that name already";
        rule(is_own, "input.passthrough", name, why)
    });
    names.chain([rule(refers, "output.images", "reference", why)])
}

/// Rules for rows of clips. What takes single images does not take clips.
fn clips(settings: &Settings) -> impl Iterator<Item = Rule> + '_ {
    const FRAMES: &str = "input.frames";
    let Settings { input, models, captioner, links, output, .. } = settings;
    input.frames.into_iter().flat_map(move |frames| {
        [
            rule(!(1..=MOST_FRAMES).contains(&frames), FRAMES, frames, "from 1 to 64 frames"),
            rule(
                models.clip.is_some(),
                FRAMES,
                frames,
                "models.clip scores single images; leave one of them out",
            ),
            rule(
                captioner.endpoint.is_some(),
                FRAMES,
                frames,
                "captioner.endpoint takes single images; set models.captioner, or no captioner",
            ),
            rule(links.fetch, FRAMES, frames, "links.fetch fetches single images; leave one of them out"),
            rule(
                output.images == Images::Embed,
                "output.images",
                "embed",
                "the pairs refer to the rows of clips: set output.images = \"reference\", and for the frames \
                 in the pairs add their column to input.passthrough",
            ),
        ]
    })
}

fn texts(input: &Input) -> impl Iterator<Item = Rule> + '_ {
    const KEY: &str = "input.text";
    let names = input.text.names();
    names.iter().enumerate().flat_map(move |(at, name)| {
        [
            rule(name == SYNTHETIC, KEY, name, "this is the source of generated captions; rename the column"),
            rule(names[..at].contains(name), KEY, name, "it is named twice"),
        ]
    })
}

fn thresholds<'a>(filter: &'a Filter, input: &'a Input) -> impl Iterator<Item = Rule> + 'a {
    const KEY: &str = "filter.thresholds";
    filter.thresholds.iter().flat_map(|(name, threshold)| {
        let is_column = input.text.names().contains(name);
        let next = "it is not a column of input.text; synthetic captions have filter.synthetic_threshold";
        [
            rule(!is_column, KEY, name, next),
            rule(!is_share(*threshold), KEY, format!("{name} = {threshold}"), PROBABILITY),
        ]
    })
}

fn clip_thresholds(settings: &Settings) -> impl Iterator<Item = Rule> + '_ {
    const COLUMNS: &str = "filter.clip_thresholds";
    let (filter, names) = (&settings.filter, settings.input.text.names());
    let all = [
        ("filter.clip_web_threshold", filter.clip_web_threshold),
        ("filter.clip_synthetic_threshold", filter.clip_synthetic_threshold),
    ];
    let all = all.into_iter().filter_map(|(key, threshold)| Some((key, threshold?)));
    let of_columns = filter.clip_thresholds.values().map(|threshold| (COLUMNS, *threshold));
    let values = all.chain(of_columns).flat_map(move |(key, threshold)| {
        // A cosine in place of a CLIP score would silently keep everything.
        let is_score = (-100.0..=100.0).contains(&threshold) && !(threshold > 0.0 && threshold < 1.0);
        let why = "a CLIP score is 100 × the cosine, from -100 to 100: 28, not 0.28";
        let without = "CLIP scores need models.clip";
        [rule(settings.models.clip.is_none(), key, threshold, without), rule(!is_score, key, threshold, why)]
    });
    let columns = filter.clip_thresholds.keys().map(move |name| {
        let why = "it is not a column of input.text; synthetic captions have filter.clip_synthetic_threshold";
        rule(!names.contains(name), COLUMNS, name, why)
    });
    values.chain(columns)
}

fn filter(filter: &Filter) -> [Rule; 3] {
    let Filter { web_threshold: web, synthetic_threshold: synthetic, .. } = *filter;
    let unknown = filter.languages.iter().find(|code| !LANGUAGES.contains(&code.as_str()));
    [
        rule(!is_share(web), "filter.web_threshold", web, PROBABILITY),
        rule(!is_share(synthetic), "filter.synthetic_threshold", synthetic, PROBABILITY),
        rule(
            unknown.is_some(),
            "filter.languages",
            unknown.map_or("", String::as_str),
            "it is not the code of a language that is recognised; codes are those of ISO 639-1, as \"en\"",
        ),
    ]
}

fn limits(limits: &Limits) -> [Rule; 5] {
    let (budget, image_bytes) = (limits.failure_budget, limits.image_bytes);
    [
        rule(!is_share(budget), "limits.failure_budget", budget, "a share lies between 0 and 1"),
        rule(image_bytes.0 > 1 << 30, "limits.image_bytes", image_bytes, "an image may have at most 1 GiB"),
        rule(!(1..=MOST_TEXTS).contains(&limits.texts), "limits.texts", limits.texts, "from 1 to 1000 texts"),
        rule(limits.attempts == 0, "limits.attempts", 0, AT_LEAST_ONE),
        rule(limits.decode_seconds == 0, "limits.decode_seconds", 0, AT_LEAST_ONE),
    ]
}

fn workers(workers: &Workers) -> Vec<Rule> {
    let no_device = workers.devices.is_empty();
    let mut rules = vec![rule(
        no_device,
        "workers.devices",
        "[]",
        "a job needs a device; \"auto\" uses the existing ones",
    )];
    if let Memory::Fixed(memory) = workers.memory {
        rules.push(rule(memory.0 < LEAST_MEMORY, "workers.memory", memory, "a worker process needs 1 GiB"));
    }
    rules
}

#[cfg(test)]
mod tests {
    use crate::settings::parse;

    const START: &str = "[job]\nurl='/j'\n[input]\nurl='/i'\ntext=['alt','title']\n[models]\nfilter='/f'\n";

    #[test]
    fn a_clip_threshold_is_a_clip_score_of_a_job_with_clip() {
        let with = |entries: &[&str]| {
            let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
            parse(START, &entries)
        };
        let sound = [
            "models.clip=/c",
            "filter.clip_web_threshold=28",
            "filter.clip_synthetic_threshold=-3",
            "filter.clip_thresholds={title=25.5}",
        ];
        let filter = with(&sound).unwrap().filter;
        let thresholds = ["alt", "title", "synthetic"].map(|source| filter.clip_threshold(source));
        assert_eq!(thresholds, [Some(28.0), Some(25.5), Some(-3.0)]);
        for (entry, why) in [
            ("filter.clip_web_threshold=0.28", "28, not 0.28"),
            ("filter.clip_synthetic_threshold=101", "from -100 to 100"),
            ("filter.clip_thresholds={title=nan}", "from -100 to 100"),
            ("filter.clip_thresholds={other=25}", "not a column of input.text"),
        ] {
            let error = with(&["models.clip=/c", entry]).unwrap_err().to_string();
            assert!(error.contains(why), "{entry}: {error}");
        }
        let error = with(&["filter.clip_web_threshold=28"]).unwrap_err().to_string();
        assert!(error.contains("models.clip"), "{error}");
        let plain = with(&[]).unwrap();
        assert!(!serde_json::to_string(&plain).unwrap().contains("clip"), "jobs without it are as before");
    }

    #[test]
    fn a_job_of_clips_refuses_what_takes_single_images() {
        let with = |entries: &[&str]| {
            let clips = ["input.frames=8", "output.images=reference"];
            let entries: Vec<String> = clips.iter().chain(entries).map(|entry| (*entry).to_owned()).collect();
            parse(START, &entries)
        };
        let settings = with(&["filter.frames=tokens"]).unwrap();
        assert_eq!((settings.input.frames, settings.filter.frames.name()), (Some(8), "tokens"));
        for (entry, why) in [
            ("input.frames=0", "from 1 to 64"),
            ("input.frames=65", "from 1 to 64"),
            ("models.clip=/c", "single images"),
            ("links.fetch=true", "single images"),
            ("captioner.endpoint=http://localhost/v1", "single images"),
            ("output.images=embed", "input.passthrough"),
            ("filter.frames=median", "expected one of `max`, `mean`, `tokens`"),
        ] {
            let error = with(&[entry]).unwrap_err().to_string();
            assert!(error.contains(why), "{entry}: {error}");
        }
        let plain = serde_json::to_string(&parse(START, &[]).unwrap()).unwrap();
        assert!(!plain.contains("frames"), "jobs of images are as before");
    }
}
