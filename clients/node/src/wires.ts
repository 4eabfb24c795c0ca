/** The two streams: their requests and replies. */

import { create } from "@bufbuild/protobuf";
import type { Wire } from "./bulk.js";
import {
  type ClassifyFaceResponse,
  type ClassifyFaceStreamRequest,
  ClassifyFaceStreamRequestSchema,
  type EncodeResponse,
  type EncodeStreamRequest,
  EncodeStreamRequestSchema,
  FaceService,
} from "./gen/evenface/v1/face_service_pb.js";
import { classifiedImages, encodedImages } from "./replies.js";
import { classifyRequest, encodeRequest, type Wanted } from "./requests.js";
import type { ClassifiedImage, EncodedImage } from "./results.js";
import type { Target } from "./served.js";

/** EncodeStream. */
export function encodeWire(
  target: Target,
  wanted: Wanted,
): Wire<EncodeStreamRequest, EncodeResponse, EncodedImage> {
  return {
    open: (calls) => calls.duplex(FaceService.method.encodeStream),
    build: (id, chunk) =>
      create(EncodeStreamRequestSchema, { id, request: encodeRequest(target, chunk, wanted) }),
    split: encodedImages,
  };
}

/** ClassifyFaceStream. */
export function classifyWire(
  target: Target,
  threshold: number | undefined,
): Wire<ClassifyFaceStreamRequest, ClassifyFaceResponse, ClassifiedImage> {
  return {
    open: (calls) => calls.duplex(FaceService.method.classifyFaceStream),
    build: (id, chunk) =>
      create(ClassifyFaceStreamRequestSchema, {
        id,
        request: classifyRequest(target, chunk, threshold),
      }),
    split: classifiedImages,
  };
}
