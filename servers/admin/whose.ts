/** The person that a page is about. */
export interface Whose {
  readonly userId: string;
  /** Chosen by a stranger, made fit for a line. */
  readonly displayName: string;
  /** Where their pages are: `/account`, or `/admin/people/<userId>`. */
  readonly base: string;
  readonly isOwn: boolean;
}
