/**
 * The thread that reads one long revocation list and ends. Started by crlReading.ts, which says in `workerData` what
 * to read. Hands the bytes back with the list; touches nothing else.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { readNow, type ReadingTask } from './crlReading.js';

const answer = readNow(workerData as ReadingTask);
const handedBack = 'list' in answer ? [answer.list.bytes.buffer, answer.list.index.buffer] : [];
parentPort?.postMessage(answer, handedBack);
