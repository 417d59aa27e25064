/** An import that cannot begin: the folder, its mapping or its input is not as it must be. Nothing was imported. */
export class ImportError extends Error {
  override readonly name = 'ImportError';
}
