/** How far an import is, for a bar with rate and time left. */
export interface ImportProgress {
  /** `sorting`: run-rows are read and sorted before the first command is carried out. */
  readonly phase: 'sorting' | 'importing';
  readonly rowsDone: number;
  /** As stored on the disk, compressed or not; read ahead of what is imported by a few thousand rows. */
  readonly bytesDone: number;
  /** Null when the source does not tell, such as standard input. */
  readonly bytesTotal: number | null;
  readonly commandsDone: number;
  /** Known once sorted; null where only bytes tell how far it is. */
  readonly commandsTotal: number | null;
  readonly eventsAppended: number;
}
