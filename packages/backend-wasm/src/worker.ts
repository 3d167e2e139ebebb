/** The worker of the pool as a file, for pages whose content security policy forbids workers from blobs. */
import { places, workForPool } from "./pool-worker.ts";

workForPool(places);
