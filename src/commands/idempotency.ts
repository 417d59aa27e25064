import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { Pool } from 'pg';
import { seesAllOf } from '../auth/principal';
import type { Scope } from '../auth/principal';
import type { Instant } from '../events/instant';
import { sortedJson } from '../tools/sorted-json';
import { uuidOf } from './command-ids';
import { COMMANDS_POOL } from './tokens';

/** A request as far as a repeat of it must be the same. */
export interface KeyedRequest {
  /** Keys of different callers never meet. */
  readonly subject: string;
  readonly key: string;
  /** Everything that makes it this request, in a fixed order. */
  readonly content: readonly unknown[];
  /** What the caller may see, which another token of the same subject may widen or narrow. */
  readonly scope: Scope;
}

export interface StoredAnswer {
  readonly status: number;
  readonly response: unknown;
}

/**
 * `open`: not answered yet, as far as is known; its command may have been executed all the same. `reused`: for another
 * request, or answered for a token that may see what this one may not.
 */
export type Reservation =
  | { readonly kind: 'open'; readonly commandId: string }
  | { readonly kind: 'answered'; readonly answer: StoredAnswer }
  | { readonly kind: 'reused' };

interface Row {
  readonly request_digest: string;
  readonly command_id: string;
  readonly status: number | null;
  readonly response: unknown;
  readonly scope: Scope | null;
}

/**
 * The answers given under an Idempotency-Key. What makes a repeat safe is the command's id, a function of subject, key and
 * content; these rows spare the repeat the work, give its answer to the letter, and tell when a key stands for two things.
 */
@Injectable()
export class IdempotencyKeys {
  constructor(@Inject(COMMANDS_POOL) private readonly pool: Pool) {}

  async reserve({ subject, key, content, scope }: KeyedRequest): Promise<Reservation> {
    const digest = createHash('sha256').update(sortedJson(content)).digest('hex');
    const commandId = uuidOf('key', subject, key, digest);
    // The update changes nothing, but unlike DO NOTHING it answers the row that is there, a concurrent one among them.
    const { rows } = await this.pool.query<Row>(
      `insert into opstruth.idempotency_keys as k (subject, key, request_digest, command_id, scope)
       values ($1, $2, $3, $4, $5)
       on conflict (subject, key) do update set created_at = k.created_at
       returning request_digest, command_id, status, response, scope`,
      [subject, key, digest, commandId, JSON.stringify(scope)],
    );
    const row = rows[0]!;
    if (row.scope === null) return { kind: 'open', commandId: row.command_id };
    if (row.request_digest !== digest) return { kind: 'reused' };
    if (row.status === null) return { kind: 'open', commandId: row.command_id };
    if (!seesAllOf(scope, row.scope)) return { kind: 'reused' };
    return { kind: 'answered', answer: { status: row.status, response: row.response } };
  }

  /** Keeps a final answer. The first one stays when two requests under one key have run side by side. */
  async keep(
    { subject, key, scope }: Pick<KeyedRequest, 'subject' | 'key' | 'scope'>,
    { status, response }: StoredAnswer,
  ): Promise<void> {
    await this.pool.query(
      `update opstruth.idempotency_keys set status = $3, response = $4, scope = $5
       where subject = $1 and key = $2 and status is null`,
      [subject, key, status, JSON.stringify(response), JSON.stringify(scope)],
    );
  }

  /** Frees a key whose request was refused before it became a command, so that the corrected one may use it. */
  async release(subject: string, key: string): Promise<void> {
    await this.pool.query(
      'delete from opstruth.idempotency_keys where subject = $1 and key = $2 and status is null',
      [subject, key],
    );
  }

  /**
   * Drops keys of before `instant` and answers how many. A repeat that comes later still finds its events, and another
   * request may use the key.
   */
  async forget(instant: Instant): Promise<number> {
    const { rowCount } = await this.pool.query(
      'delete from opstruth.idempotency_keys where created_at < $1',
      [instant],
    );
    return rowCount ?? 0;
  }
}
