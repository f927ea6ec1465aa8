use super::*;

fn answer(request: &str, status: &str, body: &str) -> FaultKind {
    let text =
        format!("Error performing {request} in 1ms - Server returned non-2xx status code: {status}: {body}");
    FaultKind::of(&Error::Generic { store: "test", source: text.into() })
}

fn azure(status: &str, code: &str, said: &str) -> FaultKind {
    answer(
        "GET http://x/y",
        status,
        &format!("<?xml?><Error><Code>{code}</Code><Message>{said}</Message></Error>"),
    )
}

#[test]
fn azure_s_refusals_are_distinguished_by_their_texts() {
    use FaultKind::{BadCredentials, Clock, ExpiredCredentials, Forbidden};
    for (status, code, said, kind) in [
        (
            "403 Forbidden",
            "AuthorizationFailure",
            "Server failed to authenticate the request.",
            BadCredentials,
        ),
        ("403 Forbidden", "AuthorizationFailure", "This request is not authorized.", Forbidden),
        (
            "403 Forbidden",
            "AuthorizationPermissionMismatch",
            "not authorized using this permission",
            Forbidden,
        ),
        ("403 Forbidden", "AuthenticationFailed", "The MAC signature found is not the same", BadCredentials),
        (
            "403 Forbidden",
            "AuthenticationFailed",
            "Signature not valid in the specified time frame",
            ExpiredCredentials,
        ),
        ("403 Forbidden", "AuthenticationFailed", "Request date header too old", Clock),
        ("401 Unauthorized", "InvalidAuthenticationInfo", "Lifetime validation failed.", ExpiredCredentials),
        ("401 Unauthorized", "NoAuthenticationInformation", "", BadCredentials),
        // 409 is the answer to a create that lost.
        ("409 Conflict", "PublicAccessNotPermitted", "", Forbidden),
    ] {
        assert_eq!(azure(status, code, said), kind, "{status} {code}: {said}");
    }
    let text = "Bulk delete request failed for key a: This request is not authorized. (code: 403)";
    assert_eq!(FaultKind::of(&Error::Generic { store: "test", source: text.into() }), Forbidden);
}

#[test]
fn a_listing_that_is_not_found_has_no_bucket_and_an_object_that_is_not_found_is_not_there() {
    assert_eq!(answer("list request: GET http://x/y", "404 Not Found", ""), FaultKind::NoBucket);
    assert_eq!(answer("GET http://x/y", "404 Not Found", ""), FaultKind::NotThere);
    let bad_name = "<Error><Code>InvalidResourceName</Code></Error>";
    assert_eq!(answer("list request: GET http://x/A_b", "400 Bad Request", bad_name), FaultKind::NoBucket);
    assert_eq!(answer("GET http://x/y", "400 Bad Request", bad_name), FaultKind::Name);
}

#[test]
fn a_machine_without_a_role_and_a_service_that_refuses_are_distinguished() {
    for url in [
        "http://169.254.169.254/metadata/identity/oauth2/token?resource=x",
        "http://metadata.google.internal/computeMetadata/v1/x",
        "http://127.0.0.1:9/latest/api/token",
    ] {
        for status in ["400 Bad Request", "403 Forbidden", "404 Not Found"] {
            assert_eq!(
                answer(&format!("token request: GET {url}"), status, ""),
                FaultKind::NoCredentials,
                "{url}"
            );
        }
    }
    let of_service = "token request: POST https://login.microsoftonline.com/x/oauth2/v2.0/token";
    assert_eq!(answer(of_service, "401 Unauthorized", "{}"), FaultKind::BadCredentials);
}

#[test]
fn a_refusal_without_a_text_is_mute() {
    let mute = |status: &str, body: &str| {
        let text = format!("Server returned non-2xx status code: {status}: {body}");
        is_mute(&Error::Generic { store: "test", source: text.into() })
    };
    assert!(mute("400 Bad Request", "") && mute("403 Forbidden", "\n"));
    assert!(!mute("403 Forbidden", "<Error/>") && !mute("404 Not Found", "") && !mute("503 Busy", ""));
}
