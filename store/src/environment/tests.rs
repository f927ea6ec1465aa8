use super::*;

fn said(cloud: Cloud, pairs: &[(&str, &str)]) -> Result<BTreeMap<String, String>, String> {
    let variables = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let said = of_variables(cloud, &variables).map_err(|error| error.to_string())?;
    Ok(said.into_iter().map(|(key, value)| (key, value.text)).collect())
}

#[test]
fn a_value_that_can_mean_nothing_is_refused_by_its_variable_s_name() {
    for (cloud, variable, value) in [
        (Cloud::S3, "AWS_ENDPOINT_URL", "minio.local:9000"),
        (Cloud::S3, "AWS_ENDPOINT_URL_S3", "//minio"),
        (Cloud::S3, "AWS_ENDPOINT", "ftp://minio"),
        (Cloud::S3, "AWS_ACCESS_KEY_ID", "AK\nIA"),
        (Cloud::S3, "AWS_SECRET_ACCESS_KEY", "a\rb"),
        (Cloud::S3, "AWS_SESSION_TOKEN", "tok\u{7f}en"),
        (Cloud::S3, "AWS_REGION", "eu west"),
        (Cloud::S3, "AWS_DEFAULT_REGION", "eu/west"),
        (Cloud::S3, "AWS_ALLOW_HTTP", "maybe"),
        (Cloud::S3, "AWS_SKIP_SIGNATURE", "2"),
        (Cloud::S3, "AWS_TIMEOUT", "soon"),
        (Cloud::S3, "AWS_USER_AGENT", "ü"),
        (Cloud::S3, "AWS_PROXY_URL", "http://:80"),
        (Cloud::Google, "GOOGLE_BASE_URL", "storage"),
        (Cloud::Google, "GOOGLE_BEARER_TOKEN", "a\nb"),
        (Cloud::Google, "GOOGLE_SKIP_SIGNATURE", "?"),
        (Cloud::Google, "STORAGE_EMULATOR_HOST", "http://:80"),
        (Cloud::Azure, "AZURE_STORAGE_ACCOUNT", "my account"),
        (Cloud::Azure, "AZURE_STORAGE_ACCOUNT_NAME", "my\naccount"),
        (Cloud::Azure, "AZURE_STORAGE_KEY", "ke\ny"),
        (Cloud::Azure, "AZURE_STORAGE_KEY", "not base64"),
        (Cloud::Azure, "AZURE_STORAGE_ACCESS_KEY", "abc"),
        (Cloud::Azure, "AZURE_STORAGE_ENDPOINT", "localhost:10000"),
        (Cloud::Azure, "AZURE_AUTHORITY_HOST", "login"),
        (Cloud::Azure, "AZURE_STORAGE_USE_EMULATOR", "perhaps"),
        (Cloud::Azure, "AZURE_STORAGE_CONNECTION_STRING", "nonsense"),
        (Cloud::Azure, "AZURE_STORAGE_CONNECTION_STRING", "AccountKey=x"),
    ] {
        let error = said(cloud, &[(variable, value)]).unwrap_err();
        assert!(error.starts_with(&format!("{variable}: ")), "{variable}={value:?}: {error}");
        assert!(!error.contains(value), "the value may be a secret: {error}");
    }
}

#[test]
fn names_of_the_clouds_own_tools_are_understood() {
    let azure =
        said(Cloud::Azure, &[("AZURE_STORAGE_ACCOUNT", "acc"), ("AZURE_STORAGE_KEY", "a2V5")]).unwrap();
    assert_eq!(azure["azure_storage_account_name"], "acc");
    assert_eq!(azure["azure_storage_account_key"], "a2V5");
    let string =
        "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5YQ==;EndpointSuffix=core.windows.net";
    let by_string = said(Cloud::Azure, &[("AZURE_STORAGE_CONNECTION_STRING", string)]).unwrap();
    assert_eq!(by_string["azure_storage_account_key"], "a2V5YQ==");
    assert_eq!(by_string["azure_storage_endpoint"], "https://acc.blob.core.windows.net");
    let both = [("AZURE_STORAGE_CONNECTION_STRING", string), ("AZURE_STORAGE_ACCOUNT", "other")];
    assert_eq!(said(Cloud::Azure, &both).unwrap()["azure_storage_account_name"], "other");
    let shared = "BlobEndpoint=https://acc.blob.core.windows.net/;SharedAccessSignature=sv=2022&sig=x%3D";
    let shared = said(Cloud::Azure, &[("AZURE_STORAGE_CONNECTION_STRING", shared)]).unwrap();
    assert_eq!(shared["azure_storage_account_name"], "acc");
    assert_eq!(shared["azure_storage_sas_token"], "sv=2022&sig=x%3D");
    let path = "BlobEndpoint=http://127.0.0.1:10000/devaccount;SharedAccessSignature=sig=x";
    let path = said(Cloud::Azure, &[("AZURE_STORAGE_CONNECTION_STRING", path)]).unwrap();
    assert_eq!(path["azure_storage_account_name"], "devaccount");
    let emulator = said(Cloud::Google, &[("STORAGE_EMULATOR_HOST", "127.0.0.1:4443")]).unwrap();
    assert_eq!(emulator["google_base_url"], "http://127.0.0.1:4443");
    assert_eq!(emulator["google_skip_signature"], "true");
}

#[test]
fn unusual_valid_values_are_accepted() {
    let aws = [
        ("AWS_PROXY_URL", "proxy.example:3128"),
        ("AWS_PROXY_CA_CERTIFICATE", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"),
        ("AWS_REQUEST_PAYER", "requester"),
        ("AWS_TIMEOUT", "2 minutes"),
    ];
    assert_eq!(said(Cloud::S3, &aws).unwrap().len(), 4);
    assert_eq!(said(Cloud::Azure, &[("AZURE_USE_FABRIC_ENDPOINT", "true")]).unwrap().len(), 1);
    assert_eq!(said(Cloud::Google, &[("GOOGLE_SERVICE_ACCOUNT_KEY", "{\n\"a\": 1\n}")]).unwrap().len(), 1);
}

#[test]
fn variables_of_another_cloud_or_program_are_ignored() {
    let others = [("AZURE_STORAGE_KEY", "\n"), ("TOKEN", "a\nb"), ("ENDPOINT", "x"), ("AWS_PAGER", "\u{1b}")];
    assert_eq!(said(Cloud::S3, &others).unwrap(), BTreeMap::new());
}

#[test]
fn azure_s_emulator_is_an_endpoint_an_account_and_a_key_like_others() {
    for (variables, endpoint) in [
        (
            &[("AZURE_STORAGE_CONNECTION_STRING", "UseDevelopmentStorage=true")][..],
            "http://127.0.0.1:10000/devstoreaccount1",
        ),
        (
            &[("AZURE_STORAGE_USE_EMULATOR", "1"), ("AZURITE_BLOB_STORAGE_URL", "http://h:1/")],
            "http://h:1/devstoreaccount1",
        ),
        (
            &[("AZURE_STORAGE_USE_EMULATOR", "1"), ("AZURITE_BLOB_STORAGE_URL", "http://h:1/mine")],
            "http://h:1/mine",
        ),
    ] {
        let settings = said(Cloud::Azure, variables).unwrap();
        assert_eq!(settings["azure_storage_endpoint"], endpoint);
        assert_eq!(
            (settings["azure_storage_account_name"].as_str(), settings["azure_allow_http"].as_str()),
            ("devstoreaccount1", "true")
        );
        assert!(
            settings.contains_key("azure_storage_account_key")
                && !settings.contains_key("azure_storage_use_emulator")
        );
    }
    let signed = [("AZURE_STORAGE_USE_EMULATOR", "true"), ("AZURE_STORAGE_SAS_TOKEN", "sig=x")];
    assert!(!said(Cloud::Azure, &signed).unwrap().contains_key("azure_storage_account_key"));
    let error =
        said(Cloud::Azure, &[("AZURE_STORAGE_USE_EMULATOR", "true"), ("AZURITE_BLOB_STORAGE_URL", "h:1")]);
    assert!(error.unwrap_err().starts_with("AZURITE_BLOB_STORAGE_URL: "));
}
