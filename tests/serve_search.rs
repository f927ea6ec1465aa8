//! The search of the live page finds images by a text, with the cosines that the ledger has.

use crate::support::{
    Job, capfilt, expect,
    page::Page,
    repo,
    small::first_rows,
    stderr,
    tables::{Tables, input_text},
};

/// Rows of the job: not more than a page of results has.
const ROWS: usize = 40;

/// A job over a few rows, which may store vectors.
fn job(embeddings: bool) -> Job {
    let folder = tempfile::tempdir().unwrap();
    let [input, objects] = ["web.parquet", "job"].map(|name| folder.path().join(name));
    first_rows("web-00000.parquet", ROWS, 20, &input);
    let [url, input, models] =
        [&objects, &input, &repo().join("tests/data/models")].map(|path| path.display().to_string());
    let job = Job::at(folder, url, objects, &input, &models);
    let job = job.set(&[&format!("output.embeddings={embeddings}")]);
    job.run();
    job
}

/// The results of a search as pairs of cosine and key.
fn found(page: &Page, text: &str) -> Vec<(f64, String)> {
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let answer = page.get(&format!("/search?kind=image&q={encoded}"));
    assert!(answer.contains("200 OK"), "{answer}");
    let rows = answer.split(">cosine ").skip(1).map(|row| {
        let key = row.split("key <bdi>").nth(1).unwrap().split('<').next().unwrap();
        (row.split('<').next().unwrap().parse().unwrap(), key.to_owned())
    });
    rows.collect()
}

#[test]
fn images_are_found_by_a_text_with_the_cosines_of_the_ledger() {
    let job = job(true);
    let filter = repo().join("tests/data/models/filter").display().to_string();
    let page = Page::serve_with(&job, "page", &["--search-model", &filter]);
    assert!(page.get("/").contains("images like this text"));
    let tables = Tables::of(&job);
    let judged = |row: &&serde_json::Value| input_text(row)["itc"].is_number();
    let mut compared = 0;
    for row in tables.ledger.iter().filter(judged).take(5) {
        let (text, key) = (input_text(row), row["key"].as_str().unwrap());
        let found = found(&page, text["text"].as_str().unwrap());
        assert!(found.len() > ROWS / 2 && found.is_sorted_by(|a, b| a.0 >= b.0), "{found:?}");
        let (cosine, _) = found.iter().find(|(_, other)| other == key).unwrap();
        // The page shows three digits, and vectors are stored in half precision.
        assert!((cosine - text["itc"].as_f64().unwrap()).abs() < 2e-3, "{cosine} of {text}");
        compared += 1;
    }
    assert_eq!(compared, 5);
    assert!(page.get("/search?kind=image&q=").contains("400 Bad Request"));
}

#[test]
fn a_search_for_images_says_what_it_needs() {
    let job = job(false);
    let page = Page::serve(&job, "page");
    assert!(!page.get("/").contains("images like this text"));
    assert!(page.get("/search?kind=image&q=dog").contains("start `capfilt serve` with `--search-model`"));
    let filter = repo().join("tests/data/models/filter").display().to_string();
    let page = Page::serve_with(&job, "page-2", &["--search-model", &filter]);
    assert!(page.get("/search?kind=image&q=dog").contains("rows have no vector of this model"));
    let no_model = ["serve", "--job", &job.url, "--listen", "127.0.0.1:0", "--search-model", "/no/model"];
    let output = expect(capfilt().args(no_model), 3);
    assert!(stderr(&output).contains("/no/model"), "{}", stderr(&output));
}
