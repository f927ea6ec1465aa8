//! Profiles of AWS's tools: `~/.aws/config` and `~/.aws/credentials`.
//!
//! Keys, region, endpoint, `ca_bundle` and a web identity are read here. Credentials that need requests
//! (single sign-on, a role of another profile, a login) come from the `aws` command, or from the profile's
//! own `credential_process`.

use crate::{
    StoreError,
    cloud::Cloud,
    environment::{CA_BUNDLE, Said, Value, refused},
};
use configparser::ini::Ini;
use std::{collections::BTreeMap, path::PathBuf};

/// Key under which a command for credentials is added to the settings.
pub(crate) const PROCESS: &str = "credential_process";

/// Keys of a profile whose credentials only the `aws` command can get.
const BY_COMMAND: [&str; 4] = ["sso_session", "sso_start_url", "role_arn", "login_session"];

type Profile = BTreeMap<String, String>;

/// Adds the values of a profile that no closer setting has.
///
/// # Errors
/// A profile that is named and missing, and an unreadable file of profiles.
pub(crate) fn with_profile(
    cloud: Cloud,
    mut said: Said,
    of_store: Option<&str>,
    variables: &BTreeMap<String, String>,
) -> Result<Said, StoreError> {
    if cloud != Cloud::S3 {
        return Ok(said);
    }
    let named = of_store.map(|name| ("profile", name.to_owned()));
    let by_variable = || {
        let variable =
            ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"].into_iter().find(|name| variables.contains_key(*name))?;
        Some((variable, variables[variable].clone()))
    };
    let named = named.or_else(by_variable);
    let name = named.as_ref().map_or("default", |(_, name)| name);
    let profile = match (read(name, variables)?, &named) {
        (Some(profile), _) => profile,
        (None, None) => return Ok(said),
        (None, Some((from, name))) => {
            return Err(refused(
                from,
                &format!("there is no profile `{name}` in {}", files(variables).join(" or ")),
            ));
        }
    };
    add(&mut said, &profile, name);
    Ok(said)
}

fn add(said: &mut Said, profile: &Profile, name: &str) {
    let from = format!("profile `{name}`");
    let has = |said: &Said, keys: &[&str]| keys.iter().any(|key| said.contains_key(*key));
    let set = |said: &mut Said, key: &str, text: &str| {
        said.insert(key.to_owned(), Value { text: text.to_owned(), from: from.clone() });
    };
    let plain = [
        ("region", "aws_region", &["aws_region", "aws_default_region"][..]),
        ("endpoint_url", "aws_endpoint_url", &["aws_endpoint_url_s3", "aws_endpoint_url", "aws_endpoint"]),
        ("ca_bundle", CA_BUNDLE, &[CA_BUNDLE]),
    ];
    for (theirs, ours, nearer) in plain {
        if let (Some(text), false) = (profile.get(theirs), has(said, nearer)) {
            set(said, ours, text);
        }
    }
    let nearer = ["aws_access_key_id", "aws_skip_signature", "aws_web_identity_token_file"];
    let of_machine = ["aws_container_credentials_relative_uri", "aws_container_credentials_full_uri"];
    if has(said, &nearer) || has(said, &of_machine) {
        return;
    }
    let keys = [
        ("aws_access_key_id", "aws_access_key_id"),
        ("aws_secret_access_key", "aws_secret_access_key"),
        ("aws_session_token", "aws_session_token"),
    ];
    let web_identity = [
        ("web_identity_token_file", "aws_web_identity_token_file"),
        ("role_arn", "aws_role_arn"),
        ("role_session_name", "aws_role_session_name"),
    ];
    let by_file = if profile.contains_key("web_identity_token_file") { &web_identity } else { &keys };
    if profile.contains_key(by_file[0].0)
        && (by_file[0].0 != "aws_access_key_id" || !profile.contains_key("role_arn"))
    {
        by_file.iter().filter_map(|(theirs, ours)| Some((ours, profile.get(*theirs)?))).for_each(
            |(ours, text)| {
                set(said, ours, text);
            },
        );
    } else if let Some(command) = profile.get("credential_process") {
        set(said, PROCESS, command);
    } else if BY_COMMAND.iter().any(|key| profile.contains_key(*key)) {
        let quoted = name.replace('\'', "'\\''");
        set(
            said,
            PROCESS,
            &format!("aws configure export-credentials --format process --profile '{quoted}'"),
        );
    }
}

/// Both files' sections of a profile, merged; `None` if neither has one.
fn read(name: &str, variables: &BTreeMap<String, String>) -> Result<Option<Profile>, StoreError> {
    let [config, credentials] = files(variables);
    let in_config = if name == "default" { "default".to_owned() } else { format!("profile {name}") };
    let sections = [section(&config, &in_config)?, section(&credentials, name)?];
    let there = sections.iter().any(Option::is_some);
    Ok(there.then(|| sections.into_iter().flatten().flatten().collect()))
}

fn section(file: &str, name: &str) -> Result<Option<Profile>, StoreError> {
    let text = match std::fs::read(file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(file, &format!("it cannot be read: {error}"))),
    };
    let mut ini = Ini::new_cs();
    // A key may contain any character; `#` begins a comment only at the start of a line.
    ini.set_inline_comment_symbols(Some(&[]));
    // Without the parser's message, which shows the line; the line may contain a secret.
    let sections = ini.read(text).map_err(|_| refused(file, "it is not a file of AWS profiles"))?;
    let found =
        sections.get(name).or_else(|| (name == "default").then(|| sections.get("profile default")).flatten());
    let keys = |section: &std::collections::HashMap<String, Option<String>>| {
        let set = section.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
        set.filter(|(_, value)| !value.is_empty()).collect()
    };
    Ok(found.map(keys))
}

/// Paths of the configuration and of the credentials.
fn files(variables: &BTreeMap<String, String>) -> [String; 2] {
    let home = variables.get("HOME").map_or_else(PathBuf::new, PathBuf::from);
    let path = |variable: &str, name: &str| match variables.get(variable) {
        Some(path) => path.clone(),
        None => home.join(".aws").join(name).display().to_string(),
    };
    [path("AWS_CONFIG_FILE", "config"), path("AWS_SHARED_CREDENTIALS_FILE", "credentials")]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[default]\nregion = eu-west-1\n; a comment\n\n[profile keys]\nregion=us-west-2\n\
        endpoint_url = https://minio\ns3 =\n  max_concurrent_requests = 20\n[profile sso]\nsso_session = x\n\
        sso_account_id = 1\n[profile it's]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = keys\n\
        [profile process]\ncredential_process = /opt/creds --for me\n\
        [profile web]\nrole_arn = arn:1\nweb_identity_token_file = /token\n";
    const CREDENTIALS: &str = "[default]\naws_access_key_id = D\naws_secret_access_key = d#;=+/\n\
        [keys]\naws_access_key_id=K\naws_secret_access_key=k\naws_session_token = t\n";

    fn with(pairs: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let files = [
            ("AWS_CONFIG_FILE", write("c", CONFIG)),
            ("AWS_SHARED_CREDENTIALS_FILE", write("k", CREDENTIALS)),
        ];
        let mut variables: BTreeMap<String, String> = files.map(|(key, path)| (key.to_owned(), path)).into();
        variables.extend(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let said = crate::environment::of_variables(Cloud::S3, &variables).unwrap();
        let said = with_profile(Cloud::S3, said, None, &variables).map_err(|error| error.to_string())?;
        Ok(said.iter().map(|(key, value)| format!("{key}={}", value.text)).collect())
    }

    #[test]
    fn a_profile_is_read_from_both_files_and_what_is_nearer_wins() {
        let default = ["aws_access_key_id=D", "aws_region=eu-west-1", "aws_secret_access_key=d#;=+/"];
        assert_eq!(with(&[]).unwrap(), default);
        let keys = [
            "aws_access_key_id=K",
            "aws_endpoint_url=https://minio",
            "aws_region=us-west-2",
            "aws_secret_access_key=k",
            "aws_session_token=t",
        ];
        assert_eq!(with(&[("AWS_PROFILE", "keys")]).unwrap(), keys);
        let nearer = with(&[
            ("AWS_PROFILE", "keys"),
            ("AWS_REGION", "here"),
            ("AWS_ACCESS_KEY_ID", "E"),
            ("AWS_SECRET_ACCESS_KEY", "e"),
        ]);
        let nearer = nearer.unwrap();
        assert!(
            nearer.contains(&"aws_region=here".to_owned())
                && nearer.contains(&"aws_access_key_id=E".to_owned())
        );
        assert!(!nearer.contains(&"aws_session_token=t".to_owned()), "keys of two places are mixed");
        let error = with(&[("AWS_PROFILE", "absent")]).unwrap_err();
        assert!(error.starts_with("AWS_PROFILE: there is no profile `absent` in "), "{error}");
    }

    #[test]
    fn what_takes_more_than_reading_is_asked_of_a_command() {
        let process = |name: &str| {
            let said = with(&[("AWS_PROFILE", name)]).unwrap();
            said.into_iter().find_map(|entry| Some(entry.strip_prefix("credential_process=")?.to_owned()))
        };
        assert_eq!(process("process").as_deref(), Some("/opt/creds --for me"));
        let exported = "aws configure export-credentials --format process --profile ";
        assert_eq!(process("sso"), Some(format!("{exported}'sso'")));
        assert_eq!(process("it's"), Some(format!("{exported}'it'\\''s'")));
        assert_eq!(process("keys"), None);
        let web = with(&[("AWS_PROFILE", "web")]).unwrap();
        assert!(web.contains(&"aws_web_identity_token_file=/token".to_owned()), "{web:?}");
    }
}
