import type { Kysely } from 'kysely';
import { inScope } from '../../src/auth/scope-sql';
import type { RunDocument } from '../../src/classifier/run-row';
import { olderThan, pageRows, runOf } from '../../src/http/run-filter-list';
import type { RunView } from '../../src/http/run-view';
import type { PageParameters } from '../../src/http/read-request';

export interface Message {
  readonly addressee: string;
  readonly run: RunDocument;
}

interface Tables {
  notifications_messages: {
    workspace_id: string;
    tenant_id: string | null;
    run_id: string;
    addressee: string;
    at: string;
  };
}

/** A page of messages, newest first. */
export async function messages(view: RunView, page: PageParameters) {
  const after = view.after(page);
  return view.read((db: Kysely<Tables>) => ({
    messages: db
      .selectFrom('notifications_messages')
      .select(['addressee', runOf(db, 'notifications_messages')])
      .where(inScope(view.scope))
      .where(olderThan(after, 'at'))
      .orderBy('at', 'desc')
      .orderBy('run_id', 'desc')
      .limit(pageRows(page))
      .$castTo<Message>(),
  }));
}
