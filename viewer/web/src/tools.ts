// What the pointer does on the canvas when it does not move the view: measuring, marking, brushing. One at a time.

export interface CanvasTool {
  /** Its name in `document.body.dataset.tool`. */
  readonly name: string;
  /** A CSS cursor; a cross unless given. */
  readonly cursor?: string;
  /** A click or tap that was no drag, in CSS pixels of the canvas. Return false to let the page have it. */
  click?(x: number, y: number, event: PointerEvent): void | boolean;
  /** The pointer goes down: return true to have the drag for the tool, then `move` and `up` follow. */
  down?(x: number, y: number, event: PointerEvent): boolean;
  move?(x: number, y: number, event: PointerEvent): void;
  up?(x: number, y: number, event: PointerEvent): void;
  /** The pointer moves with no button down. */
  hover?(x: number, y: number, event: PointerEvent): void;
  /** The tool is put away: by itself, by another one or by Escape. */
  end?(): void;
}

export class Tools {
  private tool: CanvasTool | null = null;

  constructor(private readonly canvas: HTMLCanvasElement) {}

  get current(): CanvasTool | null {
    return this.tool;
  }

  /** Takes this tool up, putting another away. */
  use(tool: CanvasTool): void {
    if (this.tool === tool) return;
    this.end();
    this.tool = tool;
    this.canvas.style.cursor = tool.cursor ?? "crosshair";
    document.body.dataset.tool = tool.name;
  }

  /** Puts the tool away (only this one, when it is named); returns false when it was not in use. */
  end(only?: CanvasTool): boolean {
    const tool = this.tool;
    if (tool === null || (only !== undefined && only !== tool)) return false;
    this.tool = null;
    this.canvas.style.cursor = "";
    delete document.body.dataset.tool;
    tool.end?.();
    return true;
  }
}
