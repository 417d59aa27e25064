-- Digests of requests are of sorted members now, and no body is an empty one: what was kept before is of an older version (0012).
update opstruth.idempotency_keys set scope = null;
