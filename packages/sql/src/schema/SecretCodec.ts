/**
 * How the values of the table `caravel_secret` are stored: in clear, or encrypted with AES-256-GCM (NIST SP 800-38D).
 */
import type { SecretId } from "@caravel/domain"
import { Array as Arr, Data, Either, Redacted } from "effect"
import { createCipheriv, createDecipheriv, createHash, createSecretKey, type KeyObject, randomBytes } from "node:crypto"

/** A stored secret. In clear, its key is null. Encrypted, its value is nonce, ciphertext and tag in base64. */
export interface StoredSecret {
  readonly id: SecretId
  readonly value: string
  readonly keyId: string | null
}

/** A configured key is invalid. It may be part of a valid one, so it is not shown. */
class InvalidSecretKey extends Data.TaggedError("InvalidSecretKey")<{ readonly index: number }> {
  override get message() {
    return `secret key number ${
      this.index + 1
    } is not 32 bytes in base64 or hex, as openssl rand -base64 32 prints them`
  }
}

/** A secret is encrypted with a key that is not configured. */
export class SecretKeyMissing extends Data.TaggedError("SecretKeyMissing")<{ readonly keyId: string }> {
  override get message() {
    return `a secret is encrypted with key ${this.keyId}, which is not among the keys that are configured`
  }
}

/** A secret was changed, or moved to another secret's row. */
export class SecretForged extends Data.TaggedError("SecretForged")<{ readonly id: SecretId }> {
  override get message() {
    return `secret ${this.id} was changed after it was encrypted, or moved to another row`
  }
}

/** Encodes secrets to store them, and decodes stored ones. */
export interface SecretCodec {
  /** The id of the key that encrypts; null if secrets are stored in clear. */
  readonly keyId: string | null
  readonly encode: (secret: { readonly id: SecretId; readonly value: Redacted.Redacted }) => StoredSecret
  readonly decode: (stored: StoredSecret) => Either.Either<Redacted.Redacted, SecretKeyMissing | SecretForged>
}

const algorithm = "aes-256-gcm"
const nonceLength = 12
const tagLength = 16

/**
 * A codec with these keys: the first encrypts, and each of them decrypts. Without keys, secrets are stored in clear. A
 * secret that is stored in clear can always be read. A secret's id is authenticated with its value, so a secret that is
 * moved to another row is rejected.
 */
export const make = (texts: ReadonlyArray<Redacted.Redacted>): Either.Either<SecretCodec, InvalidSecretKey> =>
  Either.map(Either.all(Arr.map(texts, parse)), (keys) => {
    const byId = new Map(keys.map(({ id, key }) => [id, key]))
    const [current] = keys
    return {
      keyId: current?.id ?? null,
      encode: ({ id, value }) => {
        const text = Redacted.value(value)
        return current === undefined
          ? { id, value: text, keyId: null }
          : { id, value: encrypt(current.key, id, text), keyId: current.id }
      },
      decode: ({ id, keyId, value }) => {
        if (keyId === null) return Either.right(Redacted.make(value))
        const key = byId.get(keyId)
        return key === undefined
          ? Either.left(new SecretKeyMissing({ keyId }))
          : Either.try({ try: () => Redacted.make(decrypt(key, id, value)), catch: () => new SecretForged({ id }) })
      }
    }
  })

const formats = [[/^[0-9a-f]{64}$/i, "hex"], [/^[\w+/-]{43}=?$/, "base64"]] as const

/** A key's id is its hash: keys need no configured names, and a wrong key is not taken for the right one. */
const parse = (text: Redacted.Redacted, index: number) => {
  // Despite its type, the value is undefined if an environment variable is not set.
  const trimmed = String(Redacted.value(text) ?? "").trim()
  const format = formats.find(([pattern]) => pattern.test(trimmed))
  if (format === undefined) return Either.left(new InvalidSecretKey({ index }))
  const key = Buffer.from(trimmed, format[1])
  const id = createHash("sha256").update("caravel secret key\0").update(key).digest("hex").slice(0, 8)
  return Either.right({ id, key: createSecretKey(key) })
}

const encrypt = (key: KeyObject, id: SecretId, text: string) => {
  const nonce = randomBytes(nonceLength)
  const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagLength }).setAAD(Buffer.from(id))
  return Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]).toString("base64")
}

const decrypt = (key: KeyObject, id: SecretId, value: string) => {
  const bytes = Buffer.from(value, "base64")
  const nonce = bytes.subarray(0, nonceLength)
  const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagLength })
    .setAAD(Buffer.from(id))
    .setAuthTag(bytes.subarray(-tagLength))
  return decipher.update(bytes.subarray(nonceLength, -tagLength), undefined, "utf8") + decipher.final("utf8")
}

/** Stores secrets in clear. */
export const clear: SecretCodec = Either.getOrThrow(make([]))
