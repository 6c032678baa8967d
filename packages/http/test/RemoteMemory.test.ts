import { Memory } from "@caravel/memory"
import { suites } from "./fixtures/remote.js"

suites("memory", Memory.layer)
