/** Activities as JSON, in responses and in streams. */
import { Activity } from "@caravel/domain"
import { Schema } from "effect"

const encode = Schema.encodeSync(Activity)
const encoded = new WeakMap<Activity, string>()

/**
 * The JSON of an activity. A command's response and all readers of a process share the activities of its feed, so each
 * is encoded once.
 *
 * @since 0.1.0
 * @category encoding
 */
export const of = (activity: Activity): string => {
  let text = encoded.get(activity)
  if (text === undefined) encoded.set(activity, text = JSON.stringify(encode(activity)))
  return text
}
