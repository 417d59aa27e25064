-- A rollback goes back to the generation that was live last. Each switch numbers the one that stops being live, higher
-- than all before it: of several standbys the highest is the one. A number, because clocks may be set back.
alter table opstruth.generations add column standby_number int;

-- Of the switches there were, the audit entries tell.
update opstruth.generations g
set standby_number = left_live.number
from (
  select (details ->> 'from')::int as id, row_number() over (order by max(id)) as number
  from opstruth.audit_entries
  where action in ('replay.cutover', 'replay.rollback') and details ? 'from'
  group by details ->> 'from'
) left_live
where g.id = left_live.id;
