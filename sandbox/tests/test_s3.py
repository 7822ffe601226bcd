



def test_answers_have_the_root_that_the_api_reference_shows(sandbox):
    seen = []
    s3 = sandbox.client("s3")
    def keep(http_response, **_):
        seen.append(http_response.content)

    s3.meta.events.register("after-call.s3.*", keep)
    s3.create_bucket(Bucket="roots", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for call, root in [
        (lambda: s3.get_bucket_versioning(Bucket="roots"), b"<VersioningConfiguration"),
        (lambda: s3.list_objects_v2(Bucket="roots"), b"<ListBucketResult"),
        (lambda: s3.list_object_versions(Bucket="roots"), b"<ListVersionsResult"),
        (lambda: s3.list_buckets(), b"<ListAllMyBucketsResult"),
    ]:
        call()
        assert root in seen[-1]
    # Clients are shared between tests, and reading an answer here would leave nothing of it for them.
    s3.meta.events.unregister("after-call.s3.*", keep)
