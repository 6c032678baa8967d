import { Predicate } from "effect"

/** Why a file cannot be read, by the system's codes. */
const unreadable: Record<string, string> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a directory",
  EACCES: "permission denied"
}

/**
 * The reason of an error of the system: by its code if it is among these, which are those of reading a file by default,
 * and otherwise in the system's words.
 *
 * @since 0.1.0
 * @category text
 */
export const reasonOf = (error: unknown, reasons: { readonly [code: string]: string } = unreadable): string =>
  (Predicate.hasProperty(error, "code") ? reasons[String(error.code)] : undefined) ??
    (error instanceof Error ? error.message : String(error))
