// JPEGs in images, without leaving object URLs behind.

/** Shows the picture once it is decoded. */
export async function showJpeg(image: HTMLImageElement, jpeg: Blob): Promise<void> {
  const url = URL.createObjectURL(jpeg);
  const before = image.src;
  image.src = url;
  try {
    await image.decode();
  } finally {
    if (before.startsWith("blob:")) URL.revokeObjectURL(before);
  }
}
