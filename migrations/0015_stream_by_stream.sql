-- A build from a log that can be read stream after stream makes each run whole, rows and counts with it, and goes on from
-- where it was killed. `folded_up_to` is the last stream, by id, of which that is done; it reads the log up to `folds_to`,
-- which is the checkpoint when all streams are done. Null of builds that read in log order.
alter table opstruth.generations
  add column folded_up_to text,
  add column folds_to_commit numeric(20),
  add column folds_to_prepare numeric(20);
