#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use std::{env, time::Duration};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// Variables of which one must have a value, so that spans are exported.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Begin of the targets whose spans are exported: attempts and their stages.
const TARGET: &str = "capfilt_workers";

/// Time that the end of the process waits for the collector.
const WITHIN: Duration = Duration::from_secs(5);

/// The export of this process.
#[derive(Debug)]
pub struct Export(SdkTracerProvider);

impl Export {
    /// Begins the export if the environment names a collector. A thread sends the ended spans.
    ///
    /// # Errors
    /// A sentence: the collector's URL or another variable has no valid value.
    pub fn of_environment() -> Result<Option<Self>, String> {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        if !ENDPOINTS.into_iter().any(is_set) {
            return Ok(None);
        }
        // The client speaks TLS with this provider; another one, if there is one, stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build();
        let exporter = exporter.map_err(|error| format!("spans are not exported: {error}"))?;
        // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES replace this name.
        let named = env::var_os("OTEL_SERVICE_NAME").is_some();
        let resource = Resource::builder();
        let resource = if named { resource } else { resource.with_service_name("capfilt") };
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter);
        Ok(Some(Self(provider.with_resource(resource.build()).build())))
    }

    /// A layer of the process's log that receives the spans.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer("capfilt"));
        layer.with_location(false).with_threads(false).with_filter(filter_fn(is_exported))
    }

    /// Sends the spans that have ended, and ends the export.
    ///
    /// # Errors
    /// A sentence: the collector did not take all spans in time.
    pub fn end(&self) -> Result<(), String> {
        let ended = self.0.shutdown_with_timeout(WITHIN);
        ended.map_err(|error| format!("the collector did not take the last spans: {error}"))
    }
}

/// Spans of attempts and stages, and the events in them that a log shows at level info.
fn is_exported(of: &Metadata<'_>) -> bool {
    of.target().starts_with(TARGET) && (of.is_span() || *of.level() <= Level::INFO)
}
