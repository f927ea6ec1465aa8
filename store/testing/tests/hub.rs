//! The store of the Hugging Face Hub against a server on loopback.

#![allow(clippy::unwrap_used)]

use capfilt_schemas::{plan::InputFile, settings::stores::Store};
use capfilt_store::{FaultKind, Location, PinnedObject, StoreError, add_stores};
use capfilt_store_testing::hub::{Hub, Refusal};
use futures::TryStreamExt as _;
use object_store::{ObjectStore as _, ObjectStoreExt as _};

/// Variable of every test run, whose value serves as a token.
const TOKEN_VARIABLE: &str = "CARGO_PKG_NAME";

/// Opens a URL of the Hub, whose owner is the name of the test.
fn open(hub: &Hub, url: &str, has_token: bool) -> Location {
    let root = url.split('@').next().unwrap().split('/').take(5).collect::<Vec<_>>().join("/");
    let store = Store {
        endpoint: Some(hub.endpoint().to_owned()),
        bearer_token_env: has_token.then(|| TOKEN_VARIABLE.to_owned()),
        skip_signature: (!has_token).then_some(true),
        ..Store::default()
    };
    add_stores(&[(root, store)].into());
    Location::open(url).unwrap()
}

/// A repository with five files in folders, one of them small.
fn filled(name: &str) -> Hub {
    let hub = Hub::start();
    for path in ["data/b.parquet", "data/a.parquet", "data/deep/er/c.parquet", "z.parquet"] {
        hub.put(name, path, content(path));
    }
    hub.put(name, "README é #1.md", b"a small file".to_vec());
    hub.commit(name, "main");
    hub
}

fn content(path: &str) -> Vec<u8> {
    path.bytes().cycle().take(10_000).collect()
}

async fn names(place: &Location) -> Vec<String> {
    let listed: Vec<_> = place.store.list(Some(&place.prefix)).try_collect().await.unwrap();
    listed.into_iter().map(|meta| meta.location.to_string()).collect()
}

async fn pinned(place: &Location, name: &str) -> PinnedObject {
    let meta = place.head(name).await.unwrap().unwrap();
    PinnedObject::new(
        place,
        &InputFile { path: name.to_owned(), etag: meta.e_tag.unwrap(), bytes: meta.size },
    )
}

#[tokio::test]
async fn a_repository_is_listed_over_all_pages_and_read_by_ranges() {
    let hub = filled("datasets/listed/n");
    let all = open(&hub, "hf://datasets/listed/n", false);
    let expected =
        ["README é #1.md", "data/a.parquet", "data/b.parquet", "data/deep/er/c.parquet", "z.parquet"];
    assert_eq!(names(&all).await, expected);
    assert!(hub.requests("cursor=") > 0, "the listing has several pages");
    let data = open(&hub, "hf://datasets/listed/n/data", false);
    assert_eq!(names(&data).await, &expected[1..4]);
    assert!(names(&open(&hub, "hf://datasets/listed/n/none", false)).await.is_empty());
    let here: Vec<String> = data.list_here().await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert!(here.len() == 2 && here.iter().all(|name| ["a.parquet", "b.parquet"].contains(&name.as_str())));

    let read = data.read("deep/er/c.parquet").await.unwrap();
    assert!(read == content("data/deep/er/c.parquet"));
    assert_eq!(all.read("README é #1.md").await.unwrap(), "a small file");
    let object = pinned(&data, "a.parquet").await;
    let ranges = object.ranges(&[9_000..10_000, 0..10, 5..7]).await.unwrap();
    let whole = content("data/a.parquet");
    assert!(ranges[0] == whole[9_000..] && ranges[1] == whole[..10] && ranges[2] == whole[5..7]);
    assert_eq!(object.heeds_if_match().await.unwrap(), Some(true));
    assert!(data.read("none").await.unwrap_err().is_not_found());
    assert!(data.head("none").await.unwrap().is_none() && data.head("deep").await.unwrap().is_none());
}

#[tokio::test]
async fn listing_metadata_and_reads_agree_on_the_digest() {
    let hub = filled("datasets/digests/n");
    let place = open(&hub, "hf://datasets/digests/n", false);
    let listed: Vec<_> = place.store.list(None).try_collect().await.unwrap();
    for meta in listed {
        let head = place.store.head(&meta.location).await.unwrap();
        let read = place.store.get(&meta.location).await.unwrap().meta;
        assert_eq!((&meta.e_tag, meta.size), (&head.e_tag, head.size), "{}", meta.location);
        assert_eq!((&meta.e_tag, meta.size), (&read.e_tag, read.size), "{}", meta.location);
    }
}

#[tokio::test]
async fn an_opened_branch_stays_at_its_commit_when_it_moves() {
    let hub = filled("datasets/moved/n");
    let before = open(&hub, "hf://datasets/moved/n", false);
    let pinned_url = before.at_commit().await.unwrap();
    hub.put("datasets/moved/n", "z.parquet", b"new".to_vec());
    hub.remove("datasets/moved/n", "data/a.parquet");
    let commit = hub.commit("datasets/moved/n", "main");
    assert!(before.read("z.parquet").await.unwrap() == content("z.parquet"));
    let after = open(&hub, "hf://datasets/moved/n", false);
    assert_eq!(after.at_commit().await.unwrap(), format!("hf://datasets/moved/n@{commit}"));
    assert_eq!(after.read("z.parquet").await.unwrap(), "new");
    let again = open(&hub, &pinned_url, false);
    assert_eq!(names(&again).await.len(), 5);
    assert_eq!(again.at_commit().await.unwrap(), pinned_url);
    let requests = hub.requests("/revision/");
    assert!(again.read("z.parquet").await.unwrap() == content("z.parquet"));
    assert_eq!(hub.requests("/revision/"), requests, "a commit needs no request");
    // A plan of the old commit does not fit the new one.
    let planned = again.head("z.parquet").await.unwrap().unwrap();
    let file = InputFile { path: "z.parquet".to_owned(), etag: planned.e_tag.unwrap(), bytes: 3 };
    assert!(PinnedObject::new(&after, &file).range(0..3).await.unwrap_err().is_changed());
}

#[tokio::test]
async fn other_revisions_and_their_escapes_are_found() {
    let hub = filled("datasets/revised/n");
    hub.put("datasets/revised/n", "only.parquet", content("only"));
    hub.commit("datasets/revised/n", "refs/convert/parquet");
    for url in [
        "hf://datasets/revised/n@refs/convert/parquet/only.parquet",
        "hf://datasets/revised/n@refs%2Fconvert%2Fparquet/only.parquet",
    ] {
        let hub_at = |url: &str| open(&hub, url, false);
        let place = hub_at(url);
        assert!(
            place.store.get(&place.prefix).await.unwrap().bytes().await.unwrap() == content("only"),
            "{url}"
        );
    }
    let error = open(&hub, "hf://datasets/revised/n@v9", false).at_commit().await.unwrap_err();
    assert!(error.to_string().contains("no branch, tag or commit `v9`"), "{error}");
}

#[tokio::test]
async fn the_token_goes_to_the_hub_and_to_no_other_host() {
    let hub = filled("datasets/private/n");
    hub.require_token(&std::env::var(TOKEN_VARIABLE).unwrap());
    let place = open(&hub, "hf://datasets/private/n", true);
    assert!(place.read("z.parquet").await.unwrap() == content("z.parquet"));
    assert!(hub.cache_requests() > 0 && !hub.has_leaked_the_token());
}

#[tokio::test]
async fn ended_addresses_are_renewed_and_known_ones_are_used_again() {
    let hub = filled("datasets/ended/n");
    let place = open(&hub, "hf://datasets/ended/n", false);
    let object = pinned(&place, "z.parquet").await;
    for _ in 0..3 {
        object.range(5..10).await.unwrap();
    }
    assert_eq!(hub.requests("/resolve/"), 1, "the address was used three times");
    hub.end_addresses();
    assert!(object.range(5..10).await.unwrap() == content("z.parquet")[5..10]);
    assert_eq!(hub.requests("/resolve/"), 2);
}

#[tokio::test]
async fn without_a_digest_in_the_answer_the_metadata_decide() {
    let hub = filled("datasets/hidden/n");
    hub.hide_etags();
    let place = open(&hub, "hf://datasets/hidden/n", false);
    let object = pinned(&place, "z.parquet").await;
    assert!(object.range(5..10).await.unwrap() == content("z.parquet")[5..10]);
    let file = InputFile { path: "z.parquet".to_owned(), etag: "other".to_owned(), bytes: 10_000 };
    assert!(PinnedObject::new(&place, &file).range(5..10).await.unwrap_err().is_changed());
}

#[tokio::test]
async fn a_busy_hub_is_asked_again_after_the_pause_it_requests() {
    let hub = filled("datasets/busy/n");
    let place = open(&hub, "hf://datasets/busy/n", false);
    hub.be_busy(2);
    let since = std::time::Instant::now();
    assert!(place.read("z.parquet").await.unwrap() == content("z.parquet"));
    assert!(since.elapsed().as_secs_f64() >= 2.0, "{:?}", since.elapsed());
}

#[tokio::test]
async fn refusals_have_advice_and_are_not_taken_for_missing_files() {
    let hub = filled("datasets/refused/n");
    let gated = |status| Refusal { status, code: "GatedRepo", message: "Access to dataset n is restricted." };
    let unknown = Refusal { status: 401, code: "", message: "Invalid credentials in Authorization header" };
    let no_repository = Refusal { status: 401, code: "RepoNotFound", message: "Repository not found" };
    for (refusal, has_token, kind, advice) in [
        (gated(401), false, FaultKind::Forbidden, "accept its conditions at http"),
        (gated(403), true, FaultKind::Forbidden, "the account of the token (CARGO_PKG_NAME) must accept"),
        (unknown, true, FaultKind::BadCredentials, "does not know the token (CARGO_PKG_NAME)"),
        (no_repository, false, FaultKind::NoBucket, "A private repository needs a token"),
    ] {
        let owner = if has_token { "refused-by" } else { "refused" };
        let place = open(&hub, &format!("hf://datasets/{owner}/n"), has_token);
        hub.refuse(Some(refusal.clone()));
        for error in [place.read("z.parquet").await.unwrap_err(), place.at_commit().await.unwrap_err()] {
            assert_eq!(error.kind(), Some(kind.clone()), "{error}");
            assert!(error.to_string().contains(advice) && !error.is_not_found(), "{error}");
        }
        hub.refuse(None);
    }
    let error = open(&hub, "hf://datasets/refused/none", false).at_commit().await.unwrap_err();
    assert_eq!(error.kind(), Some(FaultKind::NoBucket), "{error}");
}

#[tokio::test]
async fn wrong_servers_are_errors_and_never_hang() {
    let hub = filled("datasets/wrong/n");
    let place = open(&hub, "hf://datasets/wrong/n", false);
    let object = pinned(&place, "z.parquet").await;
    hub.ignore_ranges();
    let error = object.range(5..10).await.unwrap_err();
    assert!(error.to_string().contains("ignores ranges"), "{error}");
    hub.redirect_in_a_circle();
    let error = place.read("data/a.parquet").await.unwrap_err();
    assert!(error.to_string().contains("redirects"), "{error}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let store = Store { endpoint: Some(format!("http://{free}")), ..Store::default() };
    add_stores(&[("hf://datasets/nowhere/n".to_owned(), store)].into());
    let error = Location::open("hf://datasets/nowhere/n").unwrap().at_commit().await.unwrap_err();
    assert_eq!(error.kind(), Some(FaultKind::ConnectionRefused), "{error}");
    assert!(error.to_string().contains("[stores.\"hf://datasets/nowhere/n\"] endpoint"), "{error}");
}

#[tokio::test]
async fn a_repository_is_read_only() {
    let hub = filled("datasets/fixed/n");
    let place = open(&hub, "hf://datasets/fixed/n", false);
    let error = place.write("x", "y".into()).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Store { .. }) && error.to_string().contains("hf://buckets/"),
        "{error}"
    );
}
