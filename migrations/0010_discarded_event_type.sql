-- What an operator left out is told on the page of its run, with the event's type: from PostgreSQL alone, wherever the log
-- is kept. Null where it was decided before, and the log is kept elsewhere.
alter table opstruth.discarded_events add column event_type text;

update opstruth.discarded_events d
set event_type = e.type
from opstruth.events e
where e.stream_id = d.stream_id collate "C" and e.revision = d.revision;
