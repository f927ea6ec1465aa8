//! Export of spans, in a program that is built with the feature `otel`.

#[cfg(feature = "otel")]
mod exported {
    use capfilt_spans::Export;
    use std::sync::OnceLock;
    use tracing::Subscriber;
    use tracing_subscriber::{Layer, registry::LookupSpan};

    /// The export of this process, or the reason why there is none.
    static EXPORT: OnceLock<Result<Option<Export>, String>> = OnceLock::new();

    /// Begins the export, if the environment names a collector.
    pub fn begin<S>() -> Option<impl Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        EXPORT.get_or_init(Export::of_environment).as_ref().ok()?.as_ref().map(Export::layer)
    }

    /// Reason why no span is exported, though the environment names a collector.
    pub fn problem() -> Option<&'static str> {
        EXPORT.get()?.as_ref().err().map(String::as_str)
    }

    /// Sends the last spans; a sentence if the collector did not take them.
    pub fn end() -> Option<String> {
        EXPORT.get()?.as_ref().ok()?.as_ref()?.end().err()
    }
}

#[cfg(not(feature = "otel"))]
mod exported {
    use tracing_subscriber::layer::Identity;

    pub fn begin() -> Identity {
        Identity::new()
    }

    pub fn problem() -> Option<&'static str> {
        None
    }

    pub fn end() -> Option<String> {
        None
    }
}

pub(crate) use exported::{begin, end, problem};
