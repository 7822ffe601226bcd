



def test_answers_have_the_root_that_the_api_reference_shows(sandbox):
    seen = []
    s3 = sandbox.client("s3")
    s3.meta.events.register("after-call.s3.*", lambda http_response, **_: seen.append(http_response.content))
    s3.create_bucket(Bucket="roots", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for call, root in [
        (lambda: s3.get_bucket_versioning(Bucket="roots"), b"<VersioningConfiguration"),
        (lambda: s3.list_objects_v2(Bucket="roots"), b"<ListBucketResult"),
        (lambda: s3.list_object_versions(Bucket="roots"), b"<ListVersionsResult"),
        (lambda: s3.list_buckets(), b"<ListAllMyBucketsResult"),
    ]:
        call()
        assert root in seen[-1]
