-- A build from a log that can be read stream after stream makes each run whole, with its rows, and goes on from where it was
-- killed. `folded_up_to` is the last stream, by id, of which that is done (empty: none yet); it reads the log up to `folds_to`,
-- which becomes the checkpoint when all streams are done. Both stay as they are from then on, and are null of builds that read
-- in log order.
alter table opstruth.generations
  add column folded_up_to text,
  add column folds_to_commit numeric(20),
  add column folds_to_prepare numeric(20),
  -- A process of an older version would take it up in log order and leave out what is folded, or empty the tables, which
  -- takes `runs_loaded` back, and leave the rest as it is: it is refused at its first write.
  add constraint generations_folded_in_one_order check (
    folded_up_to is null or phase not in ('folding', 'loading')
    or (phase = 'folding' and checkpoint_commit = 0 and checkpoint_prepare = 0
        and (folded_up_to = '' or runs_loaded > 0))
  );
