//! From Parquet to augmented batches, in an order that is a function of seed, epoch and index.
