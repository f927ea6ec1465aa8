//! Credentials from a command, in the form of AWS's `credential_process`.

use object_store::{CredentialProvider, Error, Result, aws::AwsCredential};
use serde::Deserialize;
use std::{
    fmt,
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{process::Command, sync::Mutex};

/// Time limit of the command.
const PATIENCE: Duration = Duration::from_secs(60);

/// Credentials are renewed this long before they expire.
const EARLY: Duration = Duration::from_secs(120);

/// Output of the command. Unknown keys are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    /// Time of expiry in RFC 3339; without it the credentials do not expire.
    expiration: Option<String>,
}

#[derive(Clone)]
struct Held {
    credential: Arc<AwsCredential>,
    ends: Option<SystemTime>,
}

/// Runs a command for credentials when none are held, or when the held ones expire.
pub(crate) struct Process {
    command: String,
    held: Mutex<Option<Held>>,
}

impl Process {
    pub(crate) fn new(command: &str) -> Self {
        Self { command: command.to_owned(), held: Mutex::default() }
    }

    async fn ask(&self) -> Result<Held> {
        let fail = |why: String| {
            // Not the whole command, because its arguments may be secrets.
            let program = self.command.split_whitespace().next().unwrap_or_default();
            let source = format!("no credentials from `{program} …`: {why}").into();
            Error::Unauthenticated { path: "credential_process".to_owned(), source }
        };
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.command).stdin(Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE, command.output()).await;
        let output = ended.map_err(|_| fail(format!("no answer within {} s", PATIENCE.as_secs())))?;
        let output = output.map_err(|error| fail(error.to_string()))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(fail(format!("{}: {words}", output.status)));
        }
        // Without the parser's message, which shows the text that it parsed.
        let answer: Answer = serde_json::from_slice(&output.stdout)
            .map_err(|_| fail("its answer is not in AWS's form".to_owned()))?;
        let ends =
            answer.expiration.map(|at| chrono::DateTime::parse_from_rfc3339(&at).map(SystemTime::from));
        let ends = ends.transpose().map_err(|_| fail("its `Expiration` is not a time".to_owned()))?;
        let credential = AwsCredential {
            key_id: answer.access_key_id,
            secret_key: answer.secret_access_key,
            token: answer.session_token,
        };
        Ok(Held { credential: Arc::new(credential), ends })
    }
}

impl Held {
    fn is_good(&self) -> bool {
        self.ends.is_none_or(|ends| ends > SystemTime::now() + EARLY)
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Process")
    }
}

#[async_trait::async_trait]
impl CredentialProvider for Process {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let mut held = self.held.lock().await;
        match &*held {
            Some(good) if good.is_good() => Ok(Arc::clone(&good.credential)),
            _ => {
                let asked = self.ask().await?;
                *held = Some(asked.clone());
                Ok(asked.credential)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_is_asked_again_only_when_what_it_gave_ends() {
        let folder = tempfile::tempdir().unwrap();
        let asked = folder.path().join("asked");
        let process = |expiration: &str| {
            let keys = r#""AccessKeyId":"K","SecretAccessKey":"S","SessionToken":"T""#;
            let answer = format!(r#"{{"Version":1,{keys},"Expiration":"{expiration}"}}"#);
            Process::new(&format!("echo x >> {}; echo '{answer}'", asked.display()))
        };
        for (expiration, times) in [("2999-01-01T00:00:00Z", 1), ("2001-01-01T00:00:00Z", 2)] {
            let process = process(expiration);
            for _ in 0..2 {
                assert_eq!(process.get_credential().await.unwrap().key_id, "K");
            }
            assert_eq!(std::fs::read_to_string(&asked).unwrap().lines().count(), times, "{expiration}");
            std::fs::remove_file(&asked).unwrap();
        }
    }

    #[tokio::test]
    async fn a_command_that_fails_is_named_with_its_words_and_no_answer_is_shown() {
        let error =
            Process::new("echo expired, log in again >&2; exit 1").get_credential().await.unwrap_err();
        assert!(error.to_string().contains("log in again"), "{error}");
        let error =
            Process::new("echo '{\"SecretAccessKey\":\"hidden\"}'").get_credential().await.unwrap_err();
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
}
