//! Arguments of the commands that use one model.

use capfilt_evaluate::AnsweringArgs;
use capfilt_runtime::model_arguments::ModelArgs;
use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
pub struct AnswerArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Question about each image; repeatable
    #[arg(long = "question", required = true)]
    pub questions: Vec<String>,
    #[command(flatten)]
    pub answering: AnsweringArgs,
}
