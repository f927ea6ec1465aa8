//! Answers of the server: s3s-fs over a folder, and what it lacks.

use super::{BUCKET, Creates, odd::OddObjects, uploads::Uploads};
use s3s::{
    S3 as _, S3Request, S3Response, S3Result,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
        DeleteObjectInput, DeleteObjectOutput, ETag, ETagCondition, GetObjectInput, GetObjectOutput,
        HeadObjectInput, HeadObjectOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput,
        ListObjectsV2Input, ListObjectsV2Output, PutObjectInput, PutObjectOutput, UploadPartInput,
        UploadPartOutput,
    },
    s3_error,
};
use s3s_fs::FileSystem;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The bucket of a server.
pub struct Store {
    pub odd: OddObjects,
    pub uploads: Uploads,
    pub hides_missing: Arc<AtomicBool>,
    pub is_read_only: Arc<AtomicBool>,
    pub ignores_if_match: Arc<AtomicBool>,
    pub root: PathBuf,
    pub files: FileSystem,
    pub creates: Creates,
    /// Held by a create: s3s-fs looks whether the object is there long before it writes it.
    pub creating: tokio::sync::Mutex<()>,
}

type Answer<T> = S3Result<S3Response<T>>;

impl Store {
    async fn e_tag<T>(&self, of: S3Request<T>, key: String) -> S3Result<Option<ETag>> {
        let input = HeadObjectInput { bucket: BUCKET.to_owned(), key, ..HeadObjectInput::default() };
        Ok(self.files.head_object(of.map_input(|_| input)).await?.output.e_tag)
    }

    fn may_write(&self) -> S3Result<()> {
        if self.is_read_only.load(Ordering::Relaxed) { Err(s3_error!(AccessDenied)) } else { Ok(()) }
    }

    fn is_object(&self, bucket: &str, key: &str) -> S3Result<()> {
        if bucket != BUCKET {
            return Err(s3_error!(NoSuchBucket));
        }
        if key.len() > 1024 {
            return Err(s3_error!(KeyTooLongError));
        }
        match self.root.join(BUCKET).join(key).is_file() {
            true => Ok(()),
            false if self.hides_missing.load(Ordering::Relaxed) => Err(s3_error!(AccessDenied)),
            false => Err(s3_error!(NoSuchKey)),
        }
    }
}

#[async_trait::async_trait]
/// Without `DeleteObjects`, as some stores are.
impl s3s::S3 for Store {
    async fn put_object(&self, mut request: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        self.may_write()?;
        if self.creates == Creates::Ignored {
            request.input.if_none_match = None;
        }
        let _one_at_a_time = match request.input.if_none_match {
            Some(_) => Some(self.creating.lock().await),
            None => None,
        };
        self.files.put_object(request).await
    }

    async fn get_object(&self, mut request: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        self.is_object(&request.input.bucket, &request.input.key)?;
        if self.ignores_if_match.load(Ordering::Relaxed) {
            request.input.if_match = None;
        }
        if let Some(ETagCondition::ETag(wanted)) = &request.input.if_match {
            let found = self.e_tag(request.clone(), request.input.key.clone()).await?;
            if !found.is_some_and(|found| found.strong_cmp(wanted)) {
                return Err(s3_error!(PreconditionFailed, "the object has another ETag"));
            }
        }
        self.files.get_object(request).await
    }

    async fn list_objects_v2(&self, request: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        let mut answer = self.files.list_objects_v2(request.clone()).await?;
        for object in answer.output.contents.iter_mut().flatten() {
            // An object that was deleted in between is listed as it was.
            let key = object.key.clone().unwrap_or_default();
            object.e_tag = self.e_tag(request.clone(), key).await.unwrap_or_default();
        }
        self.odd.add(&request.input, &mut answer.output);
        Ok(answer)
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        if let Some(head) = self.odd.head(&request.input.key) {
            return Ok(S3Response::new(head));
        }
        self.is_object(&request.input.bucket, &request.input.key)?;
        self.files.head_object(request).await
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        self.files.delete_object(request).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        self.may_write()?;
        let key = request.input.key.clone();
        let begun = self.files.create_multipart_upload(request).await?;
        self.uploads.begin(begun.output.upload_id.clone().unwrap_or_default(), &key);
        Ok(begun)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        Ok(S3Response::new(self.uploads.list(&request.input)))
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        self.files.upload_part(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        let id = request.input.upload_id.clone();
        let completed = self.files.complete_multipart_upload(request).await?;
        self.uploads.end(&id);
        Ok(completed)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        self.uploads.end(&request.input.upload_id);
        if request.input.upload_id.starts_with("abandoned") {
            return Ok(S3Response::new(AbortMultipartUploadOutput::default()));
        }
        self.files.abort_multipart_upload(request).await
    }
}
