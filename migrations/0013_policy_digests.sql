-- A policy is known again whatever the order in which its fields were written: its digest is of the document as PostgreSQL orders
-- it. Where versions were kept twice for their order, the first is known again; none of them changes.
update opstruth.policies p set digest = encode(sha256(convert_to(document::text, 'UTF8')), 'hex')
where version = (select min(version) from opstruth.policies same where same.document = p.document);
