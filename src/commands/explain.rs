//! `capfilt explain`: everything that a job recorded about a row of its input.

use capfilt_console::{Ending, Exit, ExitCodeExt as _, Picture, Pictures, outln};
use capfilt_pipeline::image::encode_png;
use capfilt_runtime::release;
use capfilt_serve::{
    arguments::ExplainArgs,
    explain::{ExplainError, RowName, find},
    explain_image::small_image,
};
use capfilt_store::Location;

pub async fn run(args: &ExplainArgs) -> Ending {
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    release::warn_of(&bucket).await;
    let key = args.key.clone().map(RowName::Key);
    let name = key.or_else(|| args.row.clone()).expect("clap asks for one of them");
    let rows = match find(&bucket, &name).await {
        Err(error @ ExplainError::NotFound { .. }) => Err(error).or_usage_error()?,
        found => found.or_environment_error()?,
    };
    let pictures = if args.no_image || args.json { None } else { Pictures::of_terminal() };
    for (n, row) in rows.iter().enumerate() {
        if args.json {
            outln!("{}", row.to_json(&bucket));
        } else {
            outln!("{}{}", if n > 0 { "\n" } else { "" }, row.lines(&bucket).join("\n"));
        }
        let Some(pictures) = pictures else { continue };
        match small_image(row, &bucket).await {
            Ok(small) => outln!(
                "{}",
                pictures.sequence(&Picture {
                    png: &encode_png(&small),
                    width: small.width,
                    height: small.height,
                    pixels_u8: &small.pixels_u8,
                })
            ),
            Err(why) => outln!("picture     none: {}", why.escape_debug()),
        }
    }
    Ok(Exit::Done)
}
