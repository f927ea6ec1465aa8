//! The supported clouds, and the names of their settings.

/// Protocol of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    S3,
    Google,
    Azure,
}

/// Names of a cloud's variables.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// Variables with credentials.
    pub credentials: &'static str,
    pub endpoint: &'static str,
    pub allow_http: &'static str,
    /// Variable that turns signatures off, for public buckets.
    pub unsigned: &'static str,
    pub ca_bundle: &'static str,
    /// Setting with the address of the service that issues tokens.
    pub tokens: &'static str,
}

impl Cloud {
    /// The cloud of a URL's scheme or, for https://, of its host; `None` for a folder or an unknown host.
    pub fn of_url(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let host = rest.split('/').next().unwrap_or_default();
        match scheme {
            "s3" | "s3a" => Some(Self::S3),
            "gs" => Some(Self::Google),
            "az" | "adl" | "azure" | "abfs" | "abfss" => Some(Self::Azure),
            "https" if host.ends_with("amazonaws.com") || host.ends_with("r2.cloudflarestorage.com") => {
                Some(Self::S3)
            }
            "https" if host.ends_with(".core.windows.net") || host.ends_with(".fabric.microsoft.com") => {
                Some(Self::Azure)
            }
            _ => None,
        }
    }

    pub fn names(self) -> Names {
        match self {
            Self::S3 => Names {
                credentials: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
                endpoint: "AWS_ENDPOINT_URL",
                allow_http: "AWS_ALLOW_HTTP",
                unsigned: "AWS_SKIP_SIGNATURE",
                ca_bundle: "AWS_CA_BUNDLE",
                tokens: "AWS_ENDPOINT_URL_STS",
            },
            Self::Google => Names {
                credentials: "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT, a file's path",
                endpoint: "GOOGLE_BASE_URL",
                allow_http: "GOOGLE_ALLOW_HTTP",
                unsigned: "GOOGLE_SKIP_SIGNATURE",
                ca_bundle: "GOOGLE_CA_BUNDLE",
                tokens: "`token_uri` in the credentials",
            },
            Self::Azure => Names {
                credentials: "AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or \
                              AZURE_STORAGE_CONNECTION_STRING",
                endpoint: "AZURE_STORAGE_ENDPOINT",
                allow_http: "AZURE_ALLOW_HTTP",
                unsigned: "AZURE_SKIP_SIGNATURE",
                ca_bundle: "AZURE_CA_BUNDLE",
                tokens: "AZURE_AUTHORITY_HOST",
            },
        }
    }
}

/// Whether a URL belongs to a service that issues credentials: a machine's or container's metadata, or a
/// token service.
pub(crate) fn gives_credentials(url: &str) -> bool {
    let Some((host, path)) = host_and_path(url) else { return false };
    let hosts = ["sts.", "oauth2.googleapis.com", "iamcredentials.", "login.microsoft"];
    is_metadata(url) || hosts.iter().any(|known| host.starts_with(known)) || path.contains("/oauth2/")
}

/// Whether a URL belongs to the metadata of the machine or container, which provides its role.
pub(crate) fn is_metadata(url: &str) -> bool {
    let Some((host, path)) = host_and_path(url) else { return false };
    let paths =
        ["latest/api/token", "latest/meta-data", "computeMetadata/", "metadata/identity", "msi/token"];
    host.starts_with("169.254.")
        || host.starts_with("metadata.google.internal")
        || paths.iter().any(|known| path.starts_with(known))
}

fn host_and_path(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.split_once("://")?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}
