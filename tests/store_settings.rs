//! How stores are reached: by the environment, by profiles, by `[stores]` tables; and slips in any of them.

use crate::s3;
use crate::support::{expect, s3::S3, stderr, stdout};

/// Mistakes in variables: the error names the variable, and the program does not fail otherwise.
#[test]
fn a_slip_in_the_environment_is_exit_2_and_names_its_variable() {
    let s3 = S3::start();
    let mut job = s3::job(&s3, "slips");
    let sound = job.env.clone();
    for (variable, value) in [
        ("AWS_ENDPOINT_URL", "127.0.0.1:9000"),
        ("AWS_ACCESS_KEY_ID", "AK\nIA"),
        ("AWS_SECRET_ACCESS_KEY", "a\nb"),
        ("AWS_SESSION_TOKEN", "a\nb"),
        ("AWS_REGION", "eu west 1"),
        ("AWS_ALLOW_HTTP", "perhaps"),
        ("AWS_CA_BUNDLE", "/nowhere/ca.pem"),
        ("AWS_PROFILE", "unknown"),
        ("CAPFILT_STORES", "/nowhere/stores.toml"),
    ] {
        job.env.clone_from(&sound);
        job.env.push((variable.to_owned(), value.to_owned()));
        let said = stderr(&expect(job.command("plan").args(["--calibrate", "0"]), 2));
        assert!(said.contains(variable) && !said.contains("panicked"), "{variable}: {said}");
    }
}

#[test]
fn other_clouds_slips_are_told_alike() {
    let s3 = S3::start();
    for (url, variables) in [
        ("gs://bucket/x", [("GOOGLE_BASE_URL", "storage"), ("GOOGLE_BEARER_TOKEN", "a\nb")]),
        ("az://container/x", [("AZURE_STORAGE_ACCOUNT", "my account"), ("AZURE_STORAGE_ENDPOINT", "host")]),
    ] {
        for (variable, value) in variables {
            let job = s3::job(&s3, "slips").set(&[&format!("input.url={url}")]);
            let said =
                stderr(&expect(job.command("plan").env("AZURE_STORAGE_KEY", "a2V5").env(variable, value), 2));
            assert!(said.contains(variable) && !said.contains("panicked"), "{variable}: {said}");
        }
    }
}

#[test]
fn blanks_around_a_value_are_dropped_and_an_empty_one_is_not_set() {
    let s3 = s3::bucket();
    let mut job = s3::job(&s3, "blanks");
    for (_, value) in job.env.iter_mut().filter(|(key, _)| key.starts_with("AWS_")) {
        value.insert(0, ' ');
        value.push('\n');
    }
    for variable in ["AWS_SESSION_TOKEN", "AWS_ENDPOINT", "AWS_CA_BUNDLE", "AWS_PROFILE"] {
        job.env.push((variable.to_owned(), " \n".to_owned()));
    }
    let said = stdout(&expect(job.command("plan").args(["--calibrate", "0"]), 0));
    assert!(said.contains("rows    800"), "{said}");
}

#[test]
fn a_public_input_and_a_private_job_are_each_reached_in_their_own_way() {
    let (public, private) = (s3::bucket(), S3::start());
    s3::put_models(&private);
    let mut job = s3::job(&private, "own");
    // Nothing in the environment fits either of them.
    let (env, of_input) = (std::mem::take(&mut job.env), public.env());
    let value =
        |env: &[(String, String)], name: &str| env.iter().find(|(key, _)| key == name).unwrap().1.clone();
    job.env = vec![
        ("CAPFILT_CACHE".to_owned(), value(&env, "CAPFILT_CACHE")),
        ("NO_PROXY".to_owned(), "127.0.0.1".to_owned()),
        ("AWS_ACCESS_KEY_ID".to_owned(), "UNKNOWN".to_owned()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "none".to_owned()),
        ("OWN_KEY".to_owned(), value(&env, "AWS_ACCESS_KEY_ID")),
        ("OWN_SECRET".to_owned(), value(&env, "AWS_SECRET_ACCESS_KEY")),
    ];
    let table = |url: &str, endpoint: &str| {
        format!(
            "[stores.\"{url}\"]\nendpoint = \"{endpoint}\"\nregion = \"us-east-1\"\nallow_http = true\n\
             access_key_id_env = \"OWN_KEY\"\nsecret_access_key_env = \"OWN_SECRET\"\n"
        )
    };
    let tables = table("s3://capfilt", &value(&env, "AWS_ENDPOINT_URL"))
        + &table("s3://capfilt/web", &value(&of_input, "AWS_ENDPOINT_URL"));
    let settings = std::fs::read_to_string(job.config()).unwrap();
    std::fs::write(job.config(), settings + &tables).unwrap();
    job.run();
    assert!(public.requests("PUT") == 0 && private.requests("GET /capfilt/web") == 0);
    let record = std::fs::read_to_string(job.objects.join("job.json")).unwrap();
    assert!(!record.contains(crate::support::s3::SECRET_KEY) && record.contains("OWN_SECRET"), "{record}");
    // A command that has the job's URL alone finds the tables in a file.
    job.env.push(("CAPFILT_STORES".to_owned(), job.config().display().to_string()));
    assert_eq!(job.verify(0)["rows"], 800);
}

#[test]
fn a_profile_of_aws_s_tools_reaches_a_bucket() {
    let s3 = s3::bucket();
    let mut job = s3::job(&s3, "profile");
    let value = |name: &str| s3.env().into_iter().find(|(key, _)| key == name).unwrap().1;
    let file = |name: &str, text: String| {
        let path = job.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let config =
        format!("[profile of-tests]\nregion = us-east-1\nendpoint_url = {}\n", value("AWS_ENDPOINT_URL"));
    let (key, secret) = (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"));
    let keys = format!("[of-tests]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    let variables = [
        ("AWS_PROFILE", "of-tests".to_owned()),
        ("AWS_CONFIG_FILE", file("config", config)),
        ("AWS_SHARED_CREDENTIALS_FILE", file("credentials", keys)),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
    ];
    job.env.retain(|(key, _)| !key.starts_with("AWS_"));
    job.env.extend(variables.map(|(key, value)| (key.to_owned(), value)));
    let said = stdout(&expect(job.command("plan").args(["--calibrate", "0"]), 0));
    assert!(said.contains("rows    800"), "{said}");
}

#[test]
fn a_model_is_loaded_from_a_url_through_the_cache() {
    let s3 = s3::bucket();
    let job = s3::job(&s3, "models");
    let rows = s3::read(&crate::support::repo().join("tests/data/web/web-00000.parquet"));
    let image = job.folder.path().join("image");
    let images = arrow::array::AsArray::as_binary::<i32>(rows.column_by_name("jpg").unwrap());
    std::fs::write(&image, images.value(0)).unwrap();
    for _ in 0..2 {
        let mut score = crate::support::capfilt();
        score.args([
            "score",
            "--device",
            "cpu",
            "--text",
            "a red circle",
            "--model",
            &s3.url("models/filter"),
        ]);
        score.arg("--image").arg(&image).envs(job.env.clone());
        assert!(stdout(&expect(&mut score, 0)).contains("match"));
    }
    // Each time it is read to know what it is; it is copied once.
    assert_eq!(s3.requests("GET /capfilt/models/filter/model.safetensors"), 3);
}
